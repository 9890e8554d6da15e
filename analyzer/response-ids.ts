/**
 * The id under which the provider knows a response. LiteLLM hands its own on to those who ask through its Responses API: the provider, its
 * deployment and the provider's id, in base64. Spans below it, and who asks the provider directly, have the latter, so both become that.
 */
export function providersResponseId(id: string | null): string | null {
  if (id === null || !id.startsWith(WRAPPED)) return id;
  return INNER.exec(Buffer.from(id.slice('resp_'.length), 'base64').toString('latin1'))?.[1] ?? id;
}

/** "litellm" in base64, as far as it does not hang on what follows. */
const WRAPPED = 'resp_bGl0ZWxsbT';
const INNER = /^litellm:.*;response_id:([\x21-\x7e]{1,256})$/;
