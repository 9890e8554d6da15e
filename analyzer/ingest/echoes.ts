import { toolOf } from '../dialects/log-events.ts';
import { createGenerations } from './generations.ts';
import type { SeenInference, SpanNode } from './nesting.ts';
import { agree, haveOneModel } from './same-words.ts';

/**
 * Calls that a tool tells of twice, by a span and by a log event (dialects/log-events.ts): the event is an echo, and counts only where no span of its call comes.
 *
 * Nothing on the wire says for certain which span an echo is of: there is no response id on either. But both are written by one tool, of one service, when the call ends; so an echo is of the
 * span that ended nearest to it, within a second, if both failed or neither, nothing that both say differs, and they share the trace, telling counts of tokens or, where both or neither say
 * tokens, the session: a span around the call has that, too, once it is read back from its row with what it inherited. An echo has one span and a span one echo, so what ends at once in one
 * session may be told of crosswise, and still counts as often as it happened.
 *
 * What shares none of these counts twice: a tool that is told to leave its session out, with failures, which have no tokens; or a span and its event of two traces that are in two shards.
 */
export type EchoFinder = {
  /** An inference has come. Answers the echo of it, or what it is the echo of. */
  partnerOf(node: SpanNode): SpanNode | null;
};

const END_APART_MS = 1_000;
/** Beyond it nobody could tell them apart. */
const MOST_IN_BUCKET = 256;

/** @param capacity seconds remembered in each of two generations. */
export function createEchoFinder(capacity: number, isWrapper: (node: SpanNode) => boolean): EchoFinder {
  const bySecond = createGenerations<string, SpanNode[]>(capacity);
  return {
    partnerOf(node) {
      const seen = node.inference;
      const tool = seen === null || seen.kind === 'aggregate' ? null : toolOf(seen.scope_name);
      if (seen === null || tool === null) return null;
      const keyAt = (second: number): string => `${second}/${tool}/${JSON.stringify([seen.project, seen.service_name])}`;
      const second = Math.floor(seen.end_ms / END_APART_MS);
      let nearest: SpanNode | null = null;
      let nearestMs = END_APART_MS;
      for (const at of [second - 1, second, second + 1]) {
        for (const other of bySecond.get(keyAt(at)) ?? []) {
          const apartMs = Math.abs((other.inference?.end_ms ?? 0) - seen.end_ms);
          if (apartMs > nearestMs || isWrapper(node) || isWrapper(other) || !couldBeEcho(node, other)) continue;
          nearest = other;
          nearestMs = apartMs;
        }
      }
      const bucket = bySecond.get(keyAt(second));
      if (bucket === undefined) bySecond.set(keyAt(second), [node]);
      else if (bucket.length < MOST_IN_BUCKET && !bucket.includes(node)) bucket.push(node);
      return nearest;
    },
  };
}

function couldBeEcho(node: SpanNode, other: SpanNode): boolean {
  const [one, two] = [node.inference, other.inference];
  if (one === null || two === null || one.kind === two.kind || node === other || isPaired(node) || isPaired(other)) return false;
  return one.is_error === two.is_error && haveOneModel(one, two, isBeginning) && agree(one.session_id, two.session_id) && agree(one.input_tokens, two.input_tokens) && shareSomething(one, two);
}

/** A span that has its echo, or an echo that has its span. */
function isPaired({ inference, twins }: SpanNode): boolean {
  return twins !== null && twins.members.some((member) => member.inference !== null && member.inference.kind !== inference?.kind);
}

function shareSomething(one: SeenInference, two: SeenInference): boolean {
  const shareTokens = one.input_tokens !== null && one.input_tokens > 0 && one.input_tokens === two.input_tokens && one.output_tokens === two.output_tokens;
  const shareSession = one.session_id !== null && one.session_id === two.session_id;
  return shareTokens || one.trace_id === two.trace_id || (shareSession && one.input_tokens === two.input_tokens);
}

/** One says the model that was asked for, the other perhaps the one that answered: the same, with its date. */
function isBeginning(model: string, other: string): boolean {
  return model.startsWith(other) || other.startsWith(model);
}
