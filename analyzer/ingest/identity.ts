/** A span, wherever it is met: within its project by trace and span id. */
export type SpanIdentity = { readonly project: string; readonly trace_id: string; readonly span_id: string };

export function spanKey(span: SpanIdentity): string {
  return `${span.project}/${span.trace_id}/${span.span_id}`;
}

/** A score's id may be its sender's own, and is one within its project only. */
export function scoreKey(score: { readonly project: string; readonly score_id: string }): string {
  return `${score.project}/${score.score_id}`;
}
