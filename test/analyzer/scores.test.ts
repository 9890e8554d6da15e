import { describe, expect, it } from 'vitest';
import { createNormaliser } from '../../analyzer/normalise.ts';
import type { AttributeValue, OtlpEvent, OtlpLogRecord } from '../../schemas/otlp.ts';
import type { WireScore } from '../../analyzer/dialects/index.ts';
import { scoresOfSpan } from '../../analyzer/scores.ts';
import { context, normalise, record, scope, span, STARTED_MS } from './spans.ts';

const normaliser = createNormaliser({ stratumAttributes: [] });
const read = (input: OtlpLogRecord) => normaliser.record(context, new Map(), scope, input);
const scoreOf = (attributes: Record<string, AttributeValue>, changed: Partial<OtlpLogRecord> = {}) => {
  const result = read(record({ 'gen_ai.evaluation.name': 'tone', ...attributes }, changed));
  return result.kind === 'score' ? result.score : expect.fail(JSON.stringify(result));
};
const value = (wire: AttributeValue) => ({ 'gen_ai.evaluation.score.value': wire });
const label = (wire: AttributeValue) => ({ 'gen_ai.evaluation.score.label': wire });

describe('a score', () => {
  it('is read whole', () => {
    expect(scoreOf({ ...value(0.8), ...label('kind'), 'gen_ai.evaluation.explanation': 'it is kind', 'gen_ai.evaluator.name': 'judge-7', 'gen_ai.response.id': 'r-1' })).toEqual({
      project: 'p',
      score_id: expect.stringMatching(/^[0-9a-f]{32}$/),
      name: 'tone',
      value: 0.8,
      label: 'kind',
      data_type: 'numeric',
      explanation: 'it is kind',
      evaluator: 'judge-7',
      evaluator_kind: null,
      error_type: null,
      trace_id: '0af7651916cd43dd8448eb211c80319c',
      span_id: 'b7ad6b7169203331',
      response_id: 'r-1',
      target_session_id: null,
      run_id: null,
      change: 'judgement',
      is_deleted: false,
      flags: [],
      observed_time_ns: `${STARTED_MS}000000`,
      received_time_ms: context.received_ms,
    });
  });

  it.each<[Record<string, AttributeValue>, object]>([
    [value(1), { value: 1, data_type: 'numeric' }],
    [value(5n), { value: 5, data_type: 'numeric' }],
    [value(' 0.5 '), { value: 0.5, data_type: 'numeric' }],
    [value(true), { value: 1, data_type: 'boolean' }],
    [value(false), { value: 0, data_type: 'boolean' }],
    [value('false'), { value: 0, data_type: 'boolean', label: null }],
    [label('PASS'), { value: 1, data_type: 'boolean', label: 'PASS' }],
    [label('fail'), { value: 0, data_type: 'boolean' }],
    [label('👍'), { value: 1, data_type: 'boolean' }],
    [label('👎'), { value: 0, data_type: 'boolean' }],
    [label('bad'), { value: 0, data_type: 'boolean' }],
    [label('kind'), { value: null, data_type: 'categorical', label: 'kind' }],
    [{ ...value(Number.NaN), ...label('kind') }, { value: null, data_type: 'categorical' }],
    [{ ...value('NaN'), ...label('good') }, { value: 1, data_type: 'boolean' }],
    [{ ...value(Number.POSITIVE_INFINITY), ...label('x') }, { value: null, label: 'x' }],
    [{ ...value(0.2), ...label('pass') }, { value: 0.2, data_type: 'numeric', label: 'pass' }],
    [{ ...value(0.2), 'error.type': 'timeout' }, { value: 0.2, error_type: null }],
  ])('of %o is %o', (attributes, expected) => {
    expect(scoreOf(attributes)).toMatchObject(expected);
  });

  it('that could not be made is an error, not a score of 0 (golden case 17)', () => {
    expect(scoreOf({ 'error.type': 'JudgeTimeout' })).toMatchObject({ value: null, label: null, error_type: 'JudgeTimeout' });
  });

  it('may name only the response that it judges (golden case 16)', () => {
    expect(scoreOf({ ...value(1), 'gen_ai.response.id': 'r-1' }, { trace_id: null, span_id: null })).toMatchObject({ trace_id: null, span_id: null, response_id: 'r-1' });
  });

  it('may judge a whole trace, a span whose trace is not named, or a session where nothing else is named', () => {
    expect(scoreOf(value(1), { span_id: null })).toMatchObject({ trace_id: '0af7651916cd43dd8448eb211c80319c', span_id: null });
    expect(scoreOf(value(1), { trace_id: null })).toMatchObject({ trace_id: null, span_id: 'b7ad6b7169203331' });
    const ofSession = { ...value(1), 'session.id': 's-1' };
    expect(scoreOf(ofSession, { trace_id: null, span_id: null })).toMatchObject({ trace_id: null, span_id: null, target_session_id: 's-1' });
    expect(scoreOf(ofSession)).toMatchObject({ target_session_id: null });
  });

  it.each<[Record<string, AttributeValue>, object]>([
    [{ 'gen_ai.evaluator.name': 'judge', 'gen_ai.evaluation.evaluator.version': '3' }, { evaluator: 'judge@3', evaluator_kind: null }],
    [{ 'gen_ai.evaluator.name': 'judge', 'gen_ai.evaluation.evaluator.kind': 'LLM' }, { evaluator: 'judge', evaluator_kind: 'llm' }],
    [{ 'gen_ai.evaluator.name': 'HUMAN' }, { evaluator: 'human', evaluator_kind: 'human' }],
    [{ 'gen_ai.evaluator.name': 'jane@example.com', 'gen_ai.evaluation.evaluator.kind': 'human' }, { evaluator: 'human', evaluator_kind: 'human' }],
  ])('by the judge %o is %o: a person is not named', (attributes, expected) => {
    expect(scoreOf({ ...value(1), ...attributes })).toMatchObject(expected);
  });

  it('of a person is not that of another', () => {
    const by = (name: string) => scoreOf({ ...value(1), 'gen_ai.evaluator.name': name, 'gen_ai.evaluation.evaluator.kind': 'human' }).score_id;
    expect(by('jane')).not.toBe(by('john'));
  });

  it('keeps the id of its sender, and may be a correction or a deletion by it', () => {
    expect(scoreOf({ ...value(1), 'culprit.score.id': 'mine' })).toMatchObject({ score_id: 'mine', change: 'judgement' });
    const changed = (change: string, attributes: Record<string, AttributeValue> = {}) => read(record({ 'culprit.score.id': 'mine', 'culprit.score.change': change, ...attributes }, { trace_id: null, span_id: null }));
    expect(changed('update', value(0.5))).toMatchObject({ score: { score_id: 'mine', name: '', change: 'update', value: 0.5, is_deleted: false } });
    expect(changed('deletion')).toMatchObject({ score: { score_id: 'mine', change: 'deletion', is_deleted: true } });
    expect(read(record({ 'culprit.score.change': 'deletion' }))).toEqual({ kind: 'ignored', reason: 'score_without_id' });
  });

  it('may stand in the body, and be observed without a time of its own', () => {
    const body = new Map<string, AttributeValue>([['gen_ai.evaluation.name', 'tone'], ['gen_ai.evaluation.score.value', 0.1]]);
    expect(read(record({}, { body, time_ns: 0n }))).toMatchObject({ kind: 'score', score: { value: 0.1, observed_time_ns: `${STARTED_MS}000000` } });
    expect(scoreOf(value(1), { time_ns: 0n, observed_time_ns: 0n }).observed_time_ns).toBe(`${context.received_ms}000000`);
  });

  it.each<[string, OtlpLogRecord]>([
    ['score_without_name', record(value(1))],
    ['score_without_target', record({ ...value(1), 'gen_ai.evaluation.name': 'tone' }, { trace_id: null, span_id: null })],
    ['score_without_value', record({ 'gen_ai.evaluation.name': 'tone' })],
    ['score_value_unusable', record({ ...value('1e999'), 'gen_ai.evaluation.name': 'tone' })],
    ['score_value_unusable', record({ ...value([1]), 'gen_ai.evaluation.name': 'tone' })],
    ['gen_ai_event', record({}, { event_name: 'gen_ai.choice' })],
    ['not_a_score', record({ ...value(1), 'gen_ai.evaluation.name': 'tone' }, { event_name: '' })],
  ])('is refused as %s', (reason, input) => {
    expect(read(input)).toEqual({ kind: 'ignored', reason });
  });
});

describe('the id of a score', () => {
  it('is the same for a second delivery, and another for another judge, name or target', () => {
    const id = (attributes: Record<string, AttributeValue>, changed: Partial<OtlpLogRecord> = {}) => scoreOf({ ...value(1), ...attributes }, changed).score_id;
    expect(id({})).toBe(id({ ...value(0.5) }, { time_ns: 5n }));
    const others = [id({}), id({ 'gen_ai.evaluator.name': 'j' }), id({ 'gen_ai.evaluation.name': 'x' }), id({}, { span_id: '1'.repeat(16) }), id({}, { span_id: null }), id({ 'gen_ai.response.id': 'r' })];
    expect(new Set(others).size).toBe(others.length);
  });

  it('is the same for a score that is sent as log record and as span event', () => {
    const attributes = { 'gen_ai.evaluation.name': 'tone', ...value(1), 'gen_ai.response.id': 'r-1' };
    const asRecord = read(record(attributes));
    const asEvent = normalise(span({}, { events: [{ name: 'gen_ai.evaluation.result', time_ns: 1n, attributes: new Map<string, AttributeValue>(Object.entries(attributes)) }] }));
    expect(asRecord).toMatchObject({ score: { score_id: asEvent.scores[0]?.score_id } });
    expect(asEvent.scores).toHaveLength(1);
  });
});

describe('events on a span', () => {
  const event = (attributes: Record<string, AttributeValue>): OtlpEvent => ({
    name: 'gen_ai.evaluation.result',
    time_ns: 7n,
    attributes: new Map<string, AttributeValue>(Object.entries({ 'gen_ai.evaluation.name': 'tone', ...value(1), ...attributes })),
  });
  const chat = { 'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': 'openai' };

  it('judge the response that they name, else their span', () => {
    const { kind, scores } = normalise(span(chat, { events: [event({ 'gen_ai.response.id': 'r-1' }), event({})] }));
    expect(kind).toBe('call');
    expect(scores).toMatchObject([
      { trace_id: null, span_id: null, response_id: 'r-1', observed_time_ns: '7' },
      { trace_id: '0af7651916cd43dd8448eb211c80319c', span_id: 'b7ad6b7169203331', response_id: null },
    ]);
  });

  it("on the judge's own span judge what it links to, else its parent, else nothing", () => {
    const judge = { 'gen_ai.operation.name': 'evaluate' };
    const link = { trace_id: '1'.repeat(32), span_id: '2'.repeat(16), attributes: new Map() };
    const parent_span_id = '3'.repeat(16);
    expect(normalise(span(judge, { events: [event({})], links: [link], parent_span_id })).scores).toMatchObject([{ trace_id: link.trace_id, span_id: link.span_id }]);
    expect(normalise(span(judge, { events: [event({})], links: [link, link], parent_span_id })).scores).toMatchObject([{ span_id: parent_span_id }]);
    expect(normalise(span(judge, { events: [event({})] }))).toMatchObject({ scores: [], ignored_scores: ['score_without_target'] });
  });

  it('that say nothing are counted', () => {
    expect(normalise(span(chat, { events: [event({ 'gen_ai.evaluation.name': '' })] })).ignored_scores).toEqual(['score_without_name']);
  });
});

describe('labels that are configured', () => {
  const rule = (good: readonly string[], bad: readonly string[]) => createNormaliser({ stratumAttributes: [], labels: (name) => (name === 'tone' ? { good: new Set(good), bad: new Set(bad) } : null) });
  const under = (reader: ReturnType<typeof rule>, name: string, attributes: Record<string, AttributeValue>) => {
    const result = reader.record(context, new Map(), scope, record({ 'gen_ai.evaluation.name': name, ...attributes }));
    return result.kind === 'score' ? [result.score.value, result.score.data_type] : result.kind;
  };

  it('count 1 and 0, whatever number stands beside them; others are shares', () => {
    const both = rule(['kind'], ['curt']);
    expect(['Kind', 'curt', 'neutral', 'good'].map((word) => under(both, 'tone', label(word)))).toEqual([[1, 'boolean'], [0, 'boolean'], [null, 'categorical'], [null, 'categorical']]);
    expect(under(both, 'tone', { ...label('curt'), ...value(0.9) })).toEqual([0, 'boolean']);
    expect(under(both, 'other', label('kind'))).toEqual([null, 'categorical']);
  });

  it('where only one list is given leave the rest to the other side', () => {
    expect(['kind', 'curt'].map((word) => under(rule(['kind'], []), 'tone', label(word)))).toEqual([[1, 'boolean'], [0, 'boolean']]);
    expect(['kind', 'curt'].map((word) => under(rule([], ['curt']), 'tone', label(word)))).toEqual([[1, 'boolean'], [0, 'boolean']]);
  });
});

describe('judgements in the attributes of a span', () => {
  const wire = (changed: Partial<WireScore>): WireScore => ({ name: 'tone', value: 0.5, label: null, explanation: null, evaluator: 'LLM', target: 'span', ...changed });
  const inputOf = (changed: Partial<Parameters<typeof scoresOfSpan>[1]>) => scoresOfSpan(context, { span: span({}), role: 'judged', session_id: 's-1', inAttributes: [wire({})], ...changed });
  const own = { trace_id: '0af7651916cd43dd8448eb211c80319c', span_id: 'b7ad6b7169203331' };

  it('judge the span, its trace or its session, as the library says', () => {
    const { scores } = inputOf({ inAttributes: [wire({}), wire({ target: 'trace' }), wire({ target: 'session' })] });
    expect(scores).toMatchObject([
      { ...own, evaluator: 'llm', evaluator_kind: 'llm', observed_time_ns: String(span({}).end_ns) },
      { trace_id: own.trace_id, span_id: null, target_session_id: null },
      { trace_id: null, span_id: null, target_session_id: 's-1' },
    ]);
  });

  it("on a judge's carrier judge what it links to, else the session that it names", () => {
    const link = { trace_id: '1'.repeat(32), span_id: '2'.repeat(16), attributes: new Map() };
    expect(inputOf({ role: 'judge', span: span({}, { links: [link] }) }).scores).toMatchObject([{ trace_id: link.trace_id, span_id: link.span_id }]);
    expect(inputOf({ role: 'judge' }).scores).toMatchObject([{ trace_id: null, target_session_id: 's-1' }]);
    expect(inputOf({ role: 'judge', session_id: null })).toEqual({ scores: [], ignored_scores: ['score_without_target'] });
  });
});

describe('an identifier of the sender', () => {
  const idOf = (key: string | null, changed: Record<string, AttributeValue> = {}) => scoreOf({ ...value(0.8), ...(key === null ? {} : { 'openlit.score.idempotency_key': key }), ...changed }).score_id;

  it('of OpenLIT tells two judgements of one judge apart, and the same one is the same whatever its value', () => {
    expect(idOf('run-1')).not.toBe(idOf('run-2'));
    expect(idOf('run-1')).not.toBe(idOf(null));
    expect(idOf('run-1', value(0.1))).toBe(idOf('run-1'));
  });

  it('of an OpenInference annotation does so on one span', () => {
    const annotated = (identifiers: readonly (string | null)[]) =>
      normalise(
        span({
          'openinference.span.kind': 'LLM',
          ...Object.fromEntries(
            identifiers.flatMap((identifier, index) => [
              [`annotations.${index}.annotation.name`, 'tone'],
              [`annotations.${index}.annotation.score`, index],
              ...(identifier === null ? [] : [[`annotations.${index}.annotation.identifier`, identifier]]),
            ]),
          ),
        }),
      ).scores.map(({ score_id }) => score_id);
    expect(new Set(annotated(['mira', 'noor', 'mira', null])).size).toBe(3);
  });
});
