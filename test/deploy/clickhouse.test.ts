import { describe, expect, it } from 'vitest';
import { bodyOf } from '../../deploy/clickhouse.ts';

describe('the body of an insert', () => {
  it('names the columns once where all rows have them, in one order', () => {
    const { values, ...body } = bodyOf([{ id: 'a', slot: 1 }, { id: 'b', slot: 2 }]);
    expect(body).toEqual({ format: 'JSONCompactEachRow', columns: ['id', 'slot'] });
    expect(String(values)).toBe('["a",1],["b",2]');
  });

  it.each([
    ['another name', { id: 'b', at: 2 }],
    ['another order', { slot: 2, id: 'b' }],
    ['one less', { id: 'b' }],
    ['one more', { id: 'b', slot: 2, at: 3 }],
  ])('names them in every row where one row has %s', (_, second) => {
    const { values, ...body } = bodyOf([{ id: 'a', slot: 1 }, second]);
    expect(body).toEqual({ format: 'JSONEachRow' });
    expect(JSON.parse(`[${String(values)}]`)).toEqual([{ id: 'a', slot: 1 }, second]);
  });

  it('lies in the memory that it is given, where that is large enough', () => {
    const into = Buffer.alloc(1_000, '?');
    const rows = Array.from({ length: 45 }, (_, slot) => ({ id: `ä${slot}`, slot }));
    const { values } = bodyOf(rows, into);
    expect(values.buffer).toBe(into.buffer);
    expect(values).toEqual(bodyOf(rows).values);
    const many = Array.from({ length: 450 }, (_, slot) => ({ id: `ä${slot}`, slot }));
    expect(bodyOf(many, into).values).toEqual(bodyOf(many).values);
  });
});
