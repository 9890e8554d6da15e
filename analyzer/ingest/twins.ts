import type { LlmCall } from '../../schemas/call.ts';
import { createEchoFinder } from './echoes.ts';
import { createGenerations } from './generations.ts';
import { MOST_BELOW, unpartedBelow, type SeenInference, type SpanNode } from './nesting.ts';
import { agree, haveOneModel } from './same-words.ts';

/**
 * One inference, seen by several instrumentations: their spans are twins, and one of them stands for all. They are known by the response
 * id that they share, in whichever trace; or, where one of them has none, by standing side by side at the same time, or by less (strays.ts); and a log event by the span of its tool (echoes.ts).
 *
 * A response id is only believed between spans that ran at the same time: servers repeat ids (Ollama draws from a thousand), and
 * caches repeat answers with theirs.
 */
export type Twins = {
  /** Known for certain. */
  members: SpanNode[];
  /** Null where what is below one of them stands for all. */
  survivor: SpanNode | null;
  /** Others that are taken to be the same inference as long as nothing speaks against it. They have the same survivor. */
  stray: Twins | null;
};

export type TwinFinder = {
  /** Looks for twins of an inference that has just been placed. `parent`: the span above it. */
  find(node: SpanNode, parent: SpanNode | null): void;
  /** Something about one of them has changed: who stands for them now? */
  elect(twins: Twins): void;
  /** These two are taken to be one inference, until `unlink`. Whatever else either was taken for ends. */
  link(one: SpanNode, other: SpanNode): void;
  unlink(node: SpanNode): void;
};

/** Between the clocks of two services. */
const SKEW_MS = 5_000;
/** Between two libraries that wrap one call in one process. */
const WRAPPING_MS = 20;
/** An id that more spans than this have at one time is none: a constant. */
const MOST_TWINS = 8;
/** A shorter id, met again by the same library, may well be another call's. */
const RANDOM_ID_CHARACTERS = 20;
/** Where many stand under one span, twins are looked for among those that began in the same second, the one before and the one after. */
const WIDE_BUCKET_MS = 1_000;
const MOST_IN_BUCKET = 256;
/** An id that is none. */
const CONSTANT = 'constant';

/**
 * @param capacity response ids remembered in each of two generations.
 * @param onChange a span's twins, or who stands for them, have changed.
 */
export function createTwinFinder(capacity: number, onChange: (node: SpanNode) => void): TwinFinder {
  const byResponse = createGenerations<string, SpanNode | typeof CONSTANT>(capacity);
  const echoes = createEchoFinder(capacity, isWrapper);
  /** Inferences under spans that have more of them than `below` has room for, by second. */
  const wide = createGenerations<string, SpanNode[]>(Math.ceil(capacity / 64));

  const elect = (twins: Twins): void => {
    const survivor = electedOf(twins);
    if (survivor === twins.survivor) return;
    twins.survivor = survivor;
    if (twins.stray !== null) twins.stray.survivor = survivor;
    for (const member of allOf(twins)) onChange(member);
  };

  const unlink = (node: SpanNode): void => {
    const { twins } = node;
    if (twins === null || twins.stray === null) return;
    const apart = [twins, twins.stray];
    for (const part of apart) part.stray = null;
    for (const part of apart) {
      part.survivor = electedOf(part);
      for (const member of part.members) {
        if (part.members.length === 1) member.twins = null;
        member.isForgottenTwin = false;
        onChange(member);
      }
    }
  };

  const unite = (one: SpanNode, other: SpanNode): void => {
    if (one === other || (one.twins !== null && one.twins === other.twins)) return;
    unlink(one);
    unlink(other);
    const members = [...(one.twins?.members ?? [one]), ...(other.twins?.members ?? [other])];
    const twins: Twins = { members, survivor: null, stray: null };
    twins.survivor = electedOf(twins);
    for (const member of members) {
      member.twins = twins;
      onChange(member);
    }
  };

  const part = (node: SpanNode): void => {
    unlink(node);
    for (const member of node.twins?.members ?? []) {
      member.twins = null;
      member.isForgottenTwin = false;
      onChange(member);
    }
  };

  const findByResponse = (node: SpanNode, seen: SeenInference): void => {
    if (seen.response_id === null) return;
    const other = byResponse.get(seen.response_id);
    if (other === node || other === CONSTANT) return;
    if (!other?.inference || !haveOneResponse(node, seen, other, other.inference)) {
      byResponse.set(seen.response_id, node);
    } else if ((other.twins?.members.length ?? 1) < MOST_TWINS) {
      unite(other, node);
    } else {
      byResponse.set(seen.response_id, CONSTANT);
      part(other);
    }
  };

  const bucketKey = (parent: SpanNode, ms: number): string => `${parent.key}@${Math.floor(ms / WIDE_BUCKET_MS)}`;

  const findBeside = (node: SpanNode, seen: SeenInference, parent: SpanNode): void => {
    const isWide = parent.below.length >= MOST_BELOW;
    parent.childrenScope ??= parent.childrenScope === undefined ? seen.scope_name : null;
    if (parent.childrenScope !== seen.scope_name) {
      parent.childrenScope = null;
      const near = isWide ? [-WIDE_BUCKET_MS, 0, WIDE_BUCKET_MS].flatMap((apartMs) => wide.get(bucketKey(parent, seen.start_ms + apartMs)) ?? []) : [];
      const nearest = nearestTwin(node, seen, [...parent.below, ...near]);
      if (nearest !== null) unite(nearest, node);
    }
    if (!isWide) return;
    const key = bucketKey(parent, seen.start_ms);
    const bucket = wide.get(key);
    if (bucket === undefined) wide.set(key, [node]);
    else if (bucket.length < MOST_IN_BUCKET && !bucket.includes(node)) bucket.push(node);
  };

  return {
    find(node, parent) {
      const seen = node.inference;
      if (seen === null) return;
      findByResponse(node, seen);
      const partner = echoes.partnerOf(node);
      if (partner !== null) unite(partner, node);
      if (parent !== null && seen.kind === 'own') findBeside(node, seen, parent);
    },
    elect,
    link(one, other) {
      unlink(one);
      unlink(other);
      const twins = (one.twins ??= { members: [one], survivor: null, stray: null });
      const stray = (other.twins ??= { members: [other], survivor: null, stray: null });
      twins.stray = stray;
      stray.stray = twins;
      twins.survivor = stray.survivor = electedOf(twins);
      for (const member of allOf(twins)) onChange(member);
    },
    unlink,
  };
}

/** All spans of one inference. */
export function allOf({ members, stray }: Twins): readonly SpanNode[] {
  return stray === null ? members : [...members, ...stray.members];
}

function haveOneResponse(node: SpanNode, seen: SeenInference, other: SpanNode, otherSeen: SeenInference): boolean {
  if (seen.project !== otherSeen.project || seen.is_cache_hit !== otherSeen.is_cache_hit || seen.embeds !== otherSeen.embeds) return false;
  const isNested = node.below.includes(other) || other.below.includes(node);
  const isWeak = seen.scope_name === otherSeen.scope_name && (seen.response_id?.length ?? 0) < RANDOM_ID_CHARACTERS;
  return isNested || (!isWeak && overlap(seen, otherSeen, SKEW_MS));
}

/** Of the other libraries' inferences beside it, the one that it could be and that is nearest in time. A library sees an inference once. */
function nearestTwin(node: SpanNode, seen: SeenInference, children: readonly SpanNode[]): SpanNode | null {
  const scopes = new Set(node.twins?.members.map((member) => member.inference?.scope_name));
  let nearest: SpanNode | null = null;
  let nearestMs = Number.POSITIVE_INFINITY;
  for (const child of children) {
    const other = child.inference;
    if (other?.kind !== 'own' || child === node || child.parent !== node.parent || other.scope_name === seen.scope_name || scopes.has(other.scope_name)) continue;
    const apartMs = Math.abs(other.start_ms - seen.start_ms) + Math.abs(other.end_ms - seen.end_ms);
    if (apartMs >= nearestMs || !couldBeOne(seen, other) || !enclose(seen, other)) continue;
    if (child.twins?.members.some((member) => member.inference?.scope_name === seen.scope_name) === true) continue;
    nearest = child;
    nearestMs = apartMs;
  }
  return nearest;
}

/** Nothing that both say differs: model, response, tokens. */
export function couldBeOne(one: SeenInference, other: SeenInference): boolean {
  return (
    one.embeds === other.embeds &&
    haveOneModel(one, other, isOrHasSnapshot) &&
    agree(one.response_id, other.response_id) &&
    agree(one.input_tokens, other.input_tokens) &&
    agree(one.output_tokens, other.output_tokens)
  );
}

/** Some libraries write the answering model into both fields, others only the one that was asked for, of which the other may be a dated snapshot. */
function isOrHasSnapshot(model: string, other: string): boolean {
  return other === model || isSnapshot(other, model) || isSnapshot(model, other);
}

function isSnapshot(model: string, of: string): boolean {
  return model.length > of.length && model.startsWith(of) && DATE.test(model.slice(of.length));
}

const DATE = /^-\d{4}-?\d\d-?\d\d$/;

export function overlap(one: SeenInference, other: SeenInference, toleranceMs: number): boolean {
  return one.start_ms <= other.end_ms + toleranceMs && other.start_ms <= one.end_ms + toleranceMs;
}

export function enclose(one: SeenInference, other: SeenInference): boolean {
  return isWithin(one, other) || isWithin(other, one);
}

function isWithin(inner: SeenInference, outer: SeenInference): boolean {
  return inner.start_ms >= outer.start_ms - WRAPPING_MS && inner.end_ms <= outer.end_ms + WRAPPING_MS;
}

/** Whether an inference is a wrapper of inferences below it. Once one, always one, even where they are remembered no more. */
export function isWrapper(node: SpanNode): boolean {
  return node.filed === 'wrapper' || wraps(node);
}

/** A sum wraps whatever it stands above; an inference only its own kind. */
function wraps(node: SpanNode): boolean {
  const { inference, below, unparted } = node;
  if (inference === null || below.length === 0) return false;
  return inference.kind === 'aggregate' || (unparted !== 0 && unpartedBelow(node).some((other) => other.inference?.embeds === inference.embeds));
}

/**
 * The deepest; else the one that counts already, for good; else the one with a prompt version; else the one that began first.
 * Where one of them is a wrapper of something that is none of them, that stands for all: nobody here. Nor where all of them are known to
 * be twins of one that is not remembered.
 */
function electedOf(twins: Twins): SpanNode | null {
  const members = allOf(twins);
  if (members.every((member) => member.isForgottenTwin)) return null;
  if (members.some((member) => member.inference?.kind === 'own' && wraps(member) && !unpartedBelow(member).some((node) => members.includes(node)))) return null;
  const isAbove = (node: SpanNode): boolean => members.some((other) => node.below.includes(other));
  const [first, ...others] = members.filter((member) => !isWrapper(member) && !isAbove(member));
  return first === undefined ? null : others.reduce((best, node) => (isPreferred(node, best) ? node : best), first);
}

function isPreferred(node: SpanNode, than: SpanNode): boolean {
  const [one, other] = [node.inference, than.inference];
  if (one === null || other === null) return other === null;
  if (one.kind !== other.kind) return one.kind === 'own';
  if (node.isComplete !== than.isComplete) return node.isComplete;
  if ((one.prompt_version === null) !== (other.prompt_version === null)) return one.prompt_version !== null;
  return one.start_ms !== other.start_ms ? one.start_ms < other.start_ms : one.span_id < other.span_id;
}

/** A call that may be the same inference as another one, and counts all the same. */
const TWIN_UNCLEAR = 'twin_unclear';

export function toldUnclear(call: LlmCall, isUnclear: boolean): LlmCall {
  if (call.flags.includes(TWIN_UNCLEAR) === isUnclear) return call;
  const flags = call.flags.filter((flag) => flag !== TWIN_UNCLEAR);
  return { ...call, flags: isUnclear ? [...flags, TWIN_UNCLEAR] : flags };
}
