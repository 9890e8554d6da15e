/** A span, wherever it is met: within its project by trace and span id. */
export type SpanIdentity = { readonly project: string; readonly trace_id: string; readonly span_id: string };

export function spanKey(span: SpanIdentity): string {
  return `${span.project}/${span.trace_id}/${span.span_id}`;
}
