import type { LlmCall } from '../../schemas/call.ts';
import type { Store } from '../../schemas/store.ts';
import { createBygone } from './bygone.ts';
import { createCoverage } from './coverage.ts';
import type { StoredSpan } from './draft.ts';
import { createGenerations } from './generations.ts';
import { spanKey, type SpanIdentity } from './identity.ts';
import type { Found, Remembered } from './known.ts';
import { createNesting, kindOf, seenInference, type Role, type SeenInference, type SpanNode } from './nesting.ts';
import { loadSightings, loadSightingsAlike, loadSightingsOfResponses, loadSightingsOfSessions, type Alike, type AtResponse, type Sighting } from './sightings.ts';
import { AROUND_STRAYS_S, createStrays } from './strays.ts';
import { allOf, couldBeOne, createTwinFinder, isWrapper, overlap } from './twins.ts';
import type { Relative } from '../normalise.ts';

/**
 * Which of several spans stands for one inference.
 *
 * - A wrapper never counts beside what it wraps: a sum (`aggregate`: an agent, a chain) beside any inference below it, an inference beside
 *   one of its own kind below it, unless a tool or an agent stands between them.
 * - A log event that tells of a call never counts beside a span of it (echoes.ts).
 * - Of twins (twins.ts, strays.ts) one counts: the deepest; else the one that is complete already; else the one with a prompt version; else the
 *   one that began first. So the order of arrival decides which span it is, never how many.
 *
 * Roles follow from what has been seen, so each new span may change those of others; `changes` says which. Memory is bounded, and the
 * store is asked for what it may have forgotten (`recall`): exact for every span that arrives after it began and for which
 * `coverage.ts` holds, and not asked where it can have nothing (bygone.ts). A relative alone is only looked up where a restart lies between, not where memory was full.
 */
export type Inferences = {
  /** Looks up what the store knows of the traces and responses of these, where memory may not have it. */
  recall(relatives: Iterable<Relative>, calls: Iterable<LlmCall>, nowMs: number): Promise<void>;
  /** Whether the store can have neither this call nor anything of its trace or of its twins, beside what is remembered. */
  hasNothingOf(call: LlmCall, nowMs: number): boolean;
  /** All that the store knows of these traces, and of twins of theirs in others. */
  recallTraces(spans: readonly SpanIdentity[]): Promise<void>;
  /** The span with this key, as far as it is remembered. */
  at(key: string): SpanNode | undefined;
  /** Spans come, by key. Relatives first: where a span is both, it is an inference. */
  seeRelative(key: string, relative: Relative): void;
  /** `reason`: why the span by itself is no call; empty for an inference of its own. */
  seeInference(key: string, call: LlmCall, reason: string): void;
  roleOf(key: string, reason: string): Role;
  /** It may be the same inference as another span that counts, and nothing tells which. */
  isUnclear(key: string): boolean;
  /** What their rows say, of all that were written since the start and are remembered (known.ts). `set`: the row of an inference says so now. */
  readonly stored: Remembered<StoredSpan>;
  /** What has changed since the last time, given the spans that have come (their rows are written anyway). */
  changes(arrived: ReadonlyMap<string, { readonly stored: object | undefined }>): Changes;
  /** The calls that count at or below a span, or for it: as many as are remembered, at most 30. Undefined where the span is unknown. */
  standInsFor(key: string): readonly SpanIdentity[] | undefined;
  /** The call that counts for the very inference that a span is: itself, or its twin. Null: it is none, or nobody can say. Undefined where the span is unknown. */
  callFor(key: string): SpanIdentity | null | undefined;
  /** Those of the wanted spans that are the same inference as this call, which alone counts for them. */
  standsFor(span: SpanIdentity, isWanted: (key: string) => boolean): readonly string[];
};

/** `refiled`: stored spans whose row says otherwise. `fills`: a call, and the other spans of the same inference that it may be completed from. */
export type Changes = { readonly refiled: readonly SpanIdentity[]; readonly fills: ReadonlyMap<SpanIdentity, readonly SpanIdentity[]> };

/** @param settings.coversFromMs memory is complete from here on: 0 for an empty store, else the moment of the start. */
export function createInferences(store: Store, settings: { readonly capacity: number; readonly coversFromMs: number; readonly shard: number }): Inferences {
  const { capacity, coversFromMs, shard } = settings;
  const sinceStart = createCoverage(coversFromMs);
  const coverage = createCoverage(coversFromMs);
  const bygone = createBygone({ capacity: Math.min(capacity * BYGONE_ENTRIES, MOST_BYGONE), coversFromMs });
  /** What is stored of spans that have not come since the start. */
  const storedAlone = createGenerations<string, Found<StoredSpan>>(capacity, coverage.rotated);
  /** Traces that were loaded whole, as long as nothing was forgotten since. */
  let recalled = new Set<string>();
  let changed = new Set<SpanNode>();
  /** Those of them that may know something, or have inherited it, which the call that counts for them can take over. */
  let retold = new Set<SpanNode>();
  /** The inferences of this batch: most questions are about them. */
  let inHand = new Map<string, SpanNode>();
  const nesting = createNesting(capacity, {
    onBelow(node) {
      changed.add(node);
      strays.reconsider(node);
      if (node.twins !== null) twins.elect(node.twins);
    },
    onLinked({ below }) {
      for (const node of below) {
        strays.reconsider(node);
        if (node.twins === null || node.twins.survivor === node) continue;
        changed.add(node);
        retold.add(node);
      }
    },
    onRotate() {
      coverage.rotated();
      recalled = new Set();
    },
  });
  const twins = createTwinFinder(capacity, (node) => {
    changed.add(node);
    strays.reconsider(node);
  });
  const strays = createStrays(capacity, {
    nesting,
    link(one, other) {
      twins.link(one, other);
      // What has come may be neither of them, but what shows that they are one.
      for (const node of one.twins === null ? [] : allOf(one.twins)) retold.add(node);
    },
    unlink: twins.unlink,
  });

  const nodeAt = (key: string): SpanNode | undefined => inHand.get(key) ?? nesting.get(key);

  const place = (key: string, span: Parameters<typeof nesting.place>[1], inference: SeenInference | null, reason: string): SpanNode => {
    const { node, above } = nesting.place(key, span, { isBarrier: BARRIERS.has(reason), inference });
    if (inference !== null) {
      twins.find(node, above);
      strays.see(node);
    }
    return node;
  };

  /** Whole traces, so that it is known what stands above and below. Where a span is the twin of another, that one's trace as well. */
  const load = async (by: { readonly trace_ids: readonly string[]; readonly calls: readonly (AtResponse & Alike)[] }): Promise<void> => {
    let { calls } = by;
    let trace_ids = new Set(by.trace_ids);
    const asked = new Set<string>();
    for (let round = 0; round < 2; round += 1) {
      const elsewhere = [...(await loadSightingsOfResponses(store, shard, calls)), ...(await loadSightingsAlike(store, shard, calls, AROUND_STRAYS_S)), ...(await loadSightingsOfSessions(store, shard, calls))];
      for (const { trace_id } of elsewhere) trace_ids.add(trace_id);
      const unknown = [...trace_ids].filter((trace) => !recalled.has(trace));
      const found = [...(await loadSightings(store, unknown)), ...elsewhere];
      for (const sighting of found) placeStored(sighting);
      if (recalled.size > capacity) recalled = new Set();
      for (const trace of unknown) recalled.add(trace);
      for (const { response_id } of calls) if (response_id !== null) asked.add(response_id);
      calls = found.flatMap(({ role, inference }) => (role === 'duplicate' && inference !== null && (inference.response_id === null || !asked.has(inference.response_id)) ? [inference] : []));
      trace_ids = new Set();
    }
    strays.decide();
  };

  const placeStored = ({ role, slot, reason, inference, ...span }: Sighting): void => {
    const key = spanKey(span);
    const known = nesting.get(key);
    if (known?.hasCome === true && (known.inference !== null || inference === null)) return;
    const node = place(key, span, inference, reason);
    if (inference === null) return;
    node.filed = role;
    node.isForgottenTwin = role === 'duplicate';
    node.isComplete = slot > 0;
    if (node.twins !== null) twins.elect(node.twins);
    changed.add(node);
  };

  return {
    async recall(relatives, calls, nowMs) {
      coverage.passed(nowMs);
      bygone.passed(nowMs);
      inHand = new Map();
      const trace_ids = new Set<string>();
      const inDoubt: (AtResponse & Alike)[] = [];
      if (coversFromMs > 0) for (const { start_time_ns, trace_id } of relatives) if (sinceStart.isInDoubt(() => Number(start_time_ns) / 1e6, nowMs)) trace_ids.add(trace_id);
      for (const call of calls) {
        const start_ms = Number(call.start_time_ns) / 1e6;
        if (!coverage.isInDoubt(() => start_ms, nowMs) || bygone.hasNothingOf(call, nowMs)) continue;
        trace_ids.add(call.trace_id);
        inDoubt.push({ ...call, start_ms });
      }
      await load({ trace_ids: [...trace_ids], calls: inDoubt });
    },
    recallTraces: (spans) => load({ trace_ids: spans.map((span) => span.trace_id), calls: [] }),
    hasNothingOf: (call, nowMs) => bygone.hasNothingOf(call, nowMs),
    seeRelative(key, relative) {
      bygone.saw(relative, null);
      place(key, relative, null, relative.reason);
    },
    seeInference(key, call, reason) {
      bygone.saw(call, call);
      inHand.set(key, place(key, call, seenInference(call, kindOf(reason)), reason));
    },
    at: nodeAt,
    roleOf(key, reason) {
      const node = nodeAt(key);
      return node === undefined ? (reason === '' ? 'call' : 'candidate') : roleOf(node);
    },
    isUnclear(key) {
      const node = nodeAt(key);
      return node !== undefined && strays.isUnclear(node);
    },
    stored: {
      coverage,
      memory: {
        get: (key) => nodeAt(key)?.stored ?? storedAlone.get(key),
        set(key, stored) {
          const node = nodeAt(key);
          if (node === undefined) return storedAlone.set(key, stored);
          storedAlone.delete(key);
          node.stored = stored;
          node.filed = stored.role;
          node.isComplete = stored.slot > 0;
        },
      },
    },
    changes(arrived) {
      strays.decide();
      const refiled: SpanIdentity[] = [];
      const fills = new Map<SpanNode, Set<SpanNode>>();
      const fill = (node: SpanNode): void => {
        for (const { call, others } of completionsOf(node)) {
          const isWhole = arrived.has(call.key) || roleOf(call) !== call.filed;
          // A stored call has been completed already from what is stored as a part of it; not from what counted by itself until now.
          const from = isWhole ? others : others.filter((other) => arrived.has(other.key) || retold.has(other) || roleOf(other) !== other.filed);
          if (from.length > 0) fills.set(call, new Set([...(fills.get(call) ?? []), ...from]));
        }
      };
      for (const node of changed) {
        if (node.inference !== null && node.filed !== null && !arrived.has(node.key) && roleOf(node) !== node.filed) refiled.push(node.inference);
        fill(node);
      }
      for (const [key, { stored }] of arrived) {
        const node = stored === undefined ? undefined : nodeAt(key);
        if (node === undefined) continue;
        fill(node);
        for (const above of nesting.above(node)) if (above.inference?.kind === 'own') fill(above);
      }
      if (changed.size > 0) {
        changed = new Set();
        retold = new Set();
      }
      return { refiled, fills: new Map([...fills].flatMap(([call, others]) => (call.inference === null ? [] : [[call.inference, inOrder(others)] as const]))) };
    },
    standInsFor(key) {
      const node = nesting.get(key);
      return node?.hasCome === true ? standInsOf(node).flatMap(({ inference }) => inference ?? []) : undefined;
    },
    callFor(key) {
      const node = nesting.get(key);
      if (node?.hasCome !== true) return undefined;
      const [call, ...others] = node.inference === null || isWrapper(node) ? [] : standInsOf(node);
      return call === undefined || others.length > 0 ? null : call.inference;
    },
    standsFor(span, isWanted) {
      const node = nesting.get(spanKey(span));
      const twins = node === undefined || node.twins === null ? [] : allOf(node.twins);
      return twins.filter((other) => other !== node && isWanted(other.key) && other.hasCome && !isWrapper(other) && isOnly(standInsOf(other), node)).map((other) => other.key);
    },
  };
}

/** Entries that are remembered of what is bygone, for each span in memory: 2.5 bytes each. */
const BYGONE_ENTRIES = 32;
const MOST_BYGONE = 4_000_000;

/** What makes the inferences above and below it two calls. */
const BARRIERS: ReadonlySet<string> = new Set(['tool', 'agent', 'retrieval', 'memory', 'evaluator']);

function roleOf(node: SpanNode): Role {
  if (isWrapper(node)) return 'wrapper';
  if (node.twins === null ? node.isForgottenTwin : node.twins.survivor !== node) return 'duplicate';
  return node.inference?.kind === 'own' || node.isComplete ? 'call' : 'candidate';
}

/** Those that count for this span: itself, its twin, or what is below it. */
function standInsOf(node: SpanNode): SpanNode[] {
  const found = new Set<SpanNode>();
  for (const leaf of node.inference === null || isWrapper(node) ? node.below : [node]) for (const call of survivorsOf(leaf)) found.add(call);
  return [...found];
}

function survivorsOf(leaf: SpanNode): readonly SpanNode[] {
  // What is below a wrapper is in the same list as the wrapper.
  if (isWrapper(leaf)) return [];
  if (leaf.twins === null) return roleOf(leaf) === 'call' ? [leaf] : [];
  const { survivor } = leaf.twins;
  const members = allOf(leaf.twins);
  if (survivor !== null) return roleOf(survivor) === 'call' ? [survivor] : [];
  return members.filter(isWrapper).flatMap((member) => member.below.filter((below) => !members.includes(below) && roleOf(below) === 'call'));
}

/** The calls that spans around this one can complete: its twin, or the only inference that it wraps, where they are certainly one. */
function completionsOf(node: SpanNode): { call: SpanNode; others: readonly SpanNode[] }[] {
  const twins = node.twins === null ? [node] : allOf(node.twins);
  const survivor = node.twins?.survivor ?? null;
  if (survivor !== null) return [{ call: survivor, others: twins.filter((member) => member !== survivor) }];
  return twins.flatMap((member) => {
    const [call, ...more] = member.inference?.kind === 'own' && isWrapper(member) ? standInsOf(member) : [];
    const isOne = call?.inference && member.inference && more.length === 0 && couldBeOne(call.inference, member.inference) && overlap(call.inference, member.inference, 0);
    return call !== undefined && isOne === true ? [{ call, others: twins.filter((other) => other !== call) }] : [];
  });
}

function isOnly(nodes: readonly SpanNode[], node: SpanNode | undefined): boolean {
  return nodes.length === 1 && nodes[0] === node;
}

/** So that a call is completed in the same way whatever the order of arrival. */
function inOrder(nodes: Iterable<SpanNode>): SeenInference[] {
  const seen = [...nodes].flatMap(({ inference }) => inference ?? []);
  return seen.toSorted((one, other) => one.start_ms - other.start_ms || (one.span_id < other.span_id ? -1 : 1));
}
