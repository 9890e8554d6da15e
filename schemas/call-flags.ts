/**
 * What may be odd about a call (`LlmCall.flags`), and what it means. A call that is flagged counts like any other: a flag says what could not be
 * read, was set right, or came about in a way that somebody who wonders about the call should know. docs/TAGGING.md has the list for people.
 */
export const CALL_FLAGS = {
  attribute_unreadable: 'a structure under a key that is read is broken, cut, no structure, or longer than what is parsed: what it would have said is missing',
  attribute_truncated: 'a name, version, model or id was cut to 256 characters, a message to 1,024',
  metadata_over_limit: 'metadata of more than 256 KiB was not searched for a prompt',
  content_over_limit: 'messages longer than the limit gave no signals, or no fingerprint',
  tokens_adjusted: 'a count of tokens left cached or reasoning tokens out, and has them now',
  unit_corrected: 'a time to first token was in another unit than its key says',
  clock_skew: 'the span ended before it began: its duration is not known',
  clock_far_off: 'it began more than 10 minutes ahead of its arrival, or 7 days before',
  prompt_name_inherited: 'the version stands on the call, its name on a span above',
  prompt_version_inherited: 'the name stands on the call, its version on a span above',
  attributed_late: 'what came later changed its prompt: it was compared before, without it',
  not_awaited: 'it entered without what it should have waited for: too many calls waited',
  twin_unclear: 'it may be the same inference as another call, and both count',
  prompt_over_limit: 'too many prompts: it is filed under (other)',
  version_over_limit: 'too many versions of its prompt: it is filed under (other)',
  project_over_limit: 'too many versions in the project today: it is filed under (other)',
} as const;

/** What of a call was past its limit (analyzer/ingest/cardinality.ts). Also the `value` of rows of `versions` that tell of it. */
export const LIMIT_FLAGS = ['prompt_over_limit', 'version_over_limit', 'project_over_limit'] as const;
export type LimitFlag = (typeof LIMIT_FLAGS)[number];
