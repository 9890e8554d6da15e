import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pythonLiteral } from '../../analyzer/dialects/python-literal.ts';

const map = (entries: Record<string, unknown>) => new Map(Object.entries(entries));

describe('a Python literal', () => {
  it.each([
    ["{'a': 1, \"b\": 'x', 'c': None, 'd': True, 'e': -1.5e3}", map({ a: 1, b: 'x', c: null, d: true, e: -1500 })],
    ["('stop',)", ['stop']],
    ["[1, [2, (3,)], {'a': {}}]", [1, [2, [3]], map({ a: map({}) })]],
    ["{'x', 'y'}", ['x', 'y']],
    [String.raw`'it\'s \n \x41\u00e9\U0001f600 \q'`, "it's \n A\u00e9\u{1f600} q"],
    ["b'raw'", 'raw'],
    ["{'o': <object at 0x7f46>, 'n': 1}", map({ o: null, n: 1 })],
    ["{'u': Usage(prompt_tokens=5, details=None), 'id': UUID('1-2'), 't': datetime.datetime(2026, 1, 1)}", map({ u: map({ prompt_tokens: 5, details: null }), id: '1-2', t: null })],
    ["{'f': <function a.<locals>.<lambda> at 0x7f>, 'n': 1}", map({ f: null, n: 1 })],
    ["{'r': FinishReason.STOP, 'x': what, 'n': 1}", map({ r: 'FinishReason.STOP', n: 1 })],
    ['{"json": null, "t": true, "f": false}', map({ json: null, t: true, f: false })],
    ["{1: 'one'}", map({ 1: 'one' })],
    ['', undefined],
    ['plain words', undefined],
  ])('%s', (text, expected) => {
    expect(pythonLiteral(text).value).toEqual(expected);
  });

  it('that is cut has what was whole, never half a value', () => {
    expect(pythonLiteral("{'a': 'whole', 'b': 'hal").value).toEqual(map({ a: 'whole' }));
    expect(pythonLiteral("{'a': 12").value).toEqual(map({}));
    expect(pythonLiteral("{'a': ['x', 'y").value).toEqual(map({ a: ['x'] }));
  });

  it.each([
    ["{'a': 1, 'f': <function a.<locals>.<lambda> at 0x7f>, 't': datetime(2026, 1, 1)}", true],
    ["{'a': 1, 'b': ", false],
    ["{'a': ['x'", false],
    ['{"a": 1, "b" 2}', false],
    ['{"a": 1 "b": 2}', false],
    ['hello', false],
  ])('%s is whole: %s', (text, isWhole) => {
    expect(pythonLiteral(text).isWhole).toBe(isWhole);
  });

  it('of any depth and length ends', () => {
    expect(pythonLiteral('['.repeat(100_000)).value).toBeDefined();
    expect(pythonLiteral('{'.repeat(50_000) + '}'.repeat(50_000)).value).toBeDefined();
    expect(pythonLiteral("{'a': ".repeat(20_000)).value).toBeDefined();
    expect(pythonLiteral(`{'a': ${'<'.repeat(100_000)}`).value).toBeDefined();
  });

  it('never throws, and reads back what was written', () => {
    fc.assert(fc.property(fc.string({ unit: fc.constantFrom('{', '}', '[', ']', '(', ')', ',', ':', '=', "'", '"', '\\', '<', '>', 'a', 'b', 'x', '0', '9', '.', '-', ' '), maxLength: 60 }), (text) => void pythonLiteral(text)), { numRuns: 2000 });
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null))), (members) => {
        expect(pythonLiteral(repr(members)).value).toEqual(new Map(Object.entries(members)));
      }),
      { numRuns: 500 },
    );
  });
});

function repr(members: Readonly<Record<string, string | number | boolean | null>>): string {
  const text = (value: string) => `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replaceAll('\n', '\\n')}'`;
  const scalar = (value: string | number | boolean | null) => (value === null ? 'None' : typeof value === 'string' ? text(value) : typeof value === 'boolean' ? (value ? 'True' : 'False') : String(value));
  return `{${Object.entries(members).map(([key, value]) => `${text(key)}: ${scalar(value)}`).join(', ')}}`;
}
