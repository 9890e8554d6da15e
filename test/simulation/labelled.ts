import { behaviourOf, callsOf, scenario, type Behaviour, type Call, type Change, type Scenario } from './traffic.ts';

/**
 * Traffic of several prompts of which is known who did it: the kinds of days that on-call people have. Each is told as what is wrong (`fault`) and
 * what merely happens (`noise`); the oracle is a test that knew both exactly.
 */
export type Labelled = {
  readonly prompts: readonly Scenario[];
  readonly truth: Truth | null;
};

export type Truth = {
  readonly any_of: readonly (readonly [factor: string, value: string])[];
  /** Null: not of one prompt. */
  readonly prompt: string | null;
  readonly metrics: readonly string[];
  readonly onsetMinute: number;
  readonly fault: Change;
};

const OLD = 'gpt-4o-2024-08-06';
const NEW = 'gpt-4o-2024-11-20';
const CLAUDE = 'claude-sonnet-4-5';
const rollout = (share: number): Scenario['versions'] => [[0, { v1: 1 }], [60, { v1: 1 - share, v2: share }]];
const CUTOVER: Scenario['versions'] = [[0, { v1: 1 }], [150, { v2: 1 }]];
const RAMP: Scenario['versions'] = [[0, { v1: 1 }], [100, { v1: 0.99, v2: 0.01 }], [130, { v1: 0.9, v2: 0.1 }], [160, { v1: 0.6, v2: 0.4 }], [190, { v2: 1 }]];
const { normally } = scenario();

/** The prompt that something happens to, beside three that have other rates, scores and speeds. */
function beside(minutes: number, noise: readonly Change[], own: Partial<Scenario>): Scenario[] {
  const others = [
    { prompt: 'search', callsPerMinute: 60, normally: { ...normally, error: 0.004 } },
    { prompt: 'triage', callsPerMinute: 45, normally: { ...normally, quality: 0.8 } },
    { prompt: 'summary', callsPerMinute: 30, normally: { ...normally, medianMs: 1800, error: 0.03 } },
  ];
  return [scenario({ minutes, rhythm: 0.4, ...own, changes: [...noise, ...(own.changes ?? [])] }), ...others.map((other) => scenario({ minutes, rhythm: 0.4, ...other, changes: noise }))];
}

const version = (metrics: readonly string[], onsetMinute: number, fault: Change): Truth => ({ any_of: [['prompt_version', 'v2']], prompt: 'refund-agent', metrics, onsetMinute, fault: { version: 'v2', ...fault } });
const ofModel = (value: string, onsetMinute: number, fault: Change, prompt: string | null): Truth => ({ any_of: [['model', value], ['model', 'gpt-4o']], prompt, metrics: ['error_rate', 'latency', 'quality'], onsetMinute, fault });

/** A fault of the first prompt alone, or, where the truth names no prompt, of all. */
function faulty(minutes: number, truth: Truth, own: Partial<Scenario>, noise: readonly Change[] = []): Labelled {
  const isShared = truth.prompt === null;
  return { prompts: beside(minutes, isShared ? [...noise, truth.fault] : noise, isShared ? own : { ...own, changes: [truth.fault] }), truth };
}
const harmless = (minutes: number, own: Partial<Scenario>, noise: readonly Change[] = []): Labelled => ({ prompts: beside(minutes, noise, own), truth: null });

const DAY = 24 * 60;
/** Nothing is wrong with any of the fifty, and each is rolled out once in three days, by a ramp or at once; the model of two thirds of them has an outage of forty minutes, on the second day. */
function fleet(): Labelled {
  const truth: Truth = { any_of: [['model', OLD], ['model', 'gpt-4o']], prompt: null, metrics: ['error_rate'], onsetMinute: 1.5 * DAY, fault: { model: OLD, error: 0.3, fromMinute: 1.5 * DAY, toMinute: 1.5 * DAY + 40 } };
  const prompts = Array.from({ length: 50 }, (_, index) => {
    const from = 120 + ((index * 617) % (2.5 * DAY));
    const versions: Scenario['versions'] = index % 3 === 0 ? [[0, { v1: 1 }], [from, { v2: 1 }]] : [[0, { v1: 1 }], [from, { v1: 0.9, v2: 0.1 }], [from + 240, { v1: 0.5, v2: 0.5 }], [from + 480, { v2: 1 }]];
    return scenario({
      prompt: `prompt-${index}`, minutes: 3 * DAY, callsPerMinute: 1 + (index % 5), rhythm: 0.8, versions, models: { [index % 3 === 1 ? CLAUDE : OLD]: 1 }, sessions: { meanCalls: 1 + (index % 4), gapS: 25, deviation: 0.05 },
      normally: { ...normally, error: 0.004 * (1 + (index % 4)), medianMs: 600 * (1 + (index % 3)), quality: 0.78 + 0.02 * (index % 6) }, changes: [truth.fault],
    });
  });
  return { prompts, truth };
}

export const LABELLED: Readonly<Record<string, Labelled>> = {
  'harmless canary': harmless(360, { versions: rollout(0.1) }),
  'harmless cutover': harmless(300, { versions: CUTOVER }),
  'harmless cutover, everybody drifts': harmless(300, { versions: CUTOVER }, [{ medianMs: 1000, quality: 0.85, fromMinute: 155 }]),
  'better version': harmless(240, { versions: rollout(0.5), changes: [{ version: 'v2', quality: 0.91, medianMs: 720 }] }),
  'long sessions': harmless(300, { versions: rollout(0.5), sessions: { meanCalls: 12, gapS: 15, deviation: 0.15 } }),
  'mix shift in a split': harmless(300, { versions: rollout(0.5), routes: [[0, { easy: 0.9, hard: 0.1 }], [150, { easy: 0.4, hard: 0.6 }]], changes: [{ route: 'hard', quality: 0.7 }] }),
  'mix shift at a cutover': harmless(300, { versions: CUTOVER, routes: [[0, { easy: 0.9, hard: 0.1 }], [150, { easy: 0.4, hard: 0.6 }]], changes: [{ route: 'hard', quality: 0.7 }] }),
  'errors in a canary': faulty(240, version(['error_rate'], 60, { error: 0.06 }), { versions: rollout(0.1) }),
  'format in a canary': faulty(240, version(['format'], 60, { badJson: 0.045 }), { versions: rollout(0.1) }),
  'quality in a split': faulty(240, version(['quality'], 60, { quality: 0.835 }), { versions: rollout(0.5) }),
  'slow tail in a split': faulty(240, version(['latency', 'ttft'], 60, { tail: 0.025 }), { versions: rollout(0.5) }),
  'one model only': faulty(300, version(['quality'], 60, { model: CLAUDE, quality: 0.825 }), { versions: rollout(0.5), models: { [OLD]: 0.5, [CLAUDE]: 0.5 } }),
  'quality at a cutover': faulty(300, version(['quality'], 150, { quality: 0.825 }), { versions: CUTOVER }),
  'errors at a cutover': faulty(300, version(['error_rate'], 150, { error: 0.06 }), { versions: CUTOVER }),
  'errors that begin after a ramp': faulty(300, version(['error_rate'], 200, { error: 0.08, fromMinute: 200 }), { versions: RAMP }),
  'model behind an unchanged name': faulty(300, ofModel(NEW, 150, { model: NEW, quality: 0.825 }, 'refund-agent'), { models: [[0, { [OLD]: 1 }], [150, { [NEW]: 1 }]] }),
  'outage in a ramp': faulty(300, ofModel(OLD, 120, { error: 0.3, medianMs: 1800, fromMinute: 120, toMinute: 150 }, null), { versions: RAMP }),
  'outage at a cutover': faulty(300, ofModel(OLD, 153, { error: 0.25, fromMinute: 153, toMinute: 220 }, null), { versions: CUTOVER }),
  'fleet of fifty': fleet(),
};

/**
 * When odds of 100 to 1 for the fault are reached by one who knew it, its time and everything else exactly; ms, null: never. No test with at
 * most 1 false alarm in 100 is faster on average.
 */
export function oracleMs({ prompts, truth }: Labelled, calls: readonly (readonly Call[])[]): number | null {
  if (truth === null) return null;
  const evidence = prompts.flatMap((traffic, index) =>
    (calls[index] ?? []).flatMap((call) => {
      const seen = { ...call, minute: (call.startMs - traffic.beginMs) / 60_000 };
      const faulted = behaviourOf(traffic, seen, () => true);
      const sound = behaviourOf(traffic, seen, (change) => change !== truth.fault);
      const endMs = call.startMs + call.durationMs;
      const ofScore = call.score === null || faulted.quality === sound.quality ? 0 : ofNormal(call.score.value, faulted.quality, sound.quality);
      return [{ atMs: endMs, ratio: ofCall(call, faulted) - ofCall(call, sound) }, { atMs: Math.max(endMs, call.score?.atMs ?? 0), ratio: ofScore }];
    }),
  );
  let sum = 0;
  for (const { atMs, ratio } of evidence.filter((each) => each.ratio !== 0).sort((left, right) => left.atMs - right.atMs)) if ((sum += ratio) > Math.log(100)) return atMs;
  return null;
}

/** Of scores that are normal with a deviation of .12. */
const ofNormal = (value: number, faulted: number, sound: number): number => ((value - sound) ** 2 - (value - faulted) ** 2) / (2 * 0.12 ** 2);

function ofCall(call: Call, { error, badJson, medianMs, sigma, tail }: Behaviour): number {
  const outcome = (is: boolean, share: number): number => Math.log(Math.max(1e-12, is ? share : 1 - share));
  const at = (median: number): number => Math.exp(-((Math.log(call.durationMs / median) / sigma) ** 2) / 2);
  return outcome(call.isError, error) + outcome(!call.isJson, badJson) + Math.log(Math.max(1e-300, (1 - tail) * at(medianMs) + tail * at(10 * medianMs)));
}

export const callsOfAll = ({ prompts }: Labelled, seed: number): Call[][] => prompts.map((traffic, index) => callsOf(traffic, 1_000 * seed + index));
