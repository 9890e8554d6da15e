import { z } from 'zod';

/** What describes the traffic, so that a change of it is told from a change of the answers. */
export const MixSettings = z.strictObject({
  attributes: z.array(z.string().min(1).max(256)).max(8).default(['app.tenant', 'app.language']).describe('Span attributes that describe the traffic: when their mix alone explains a change, nobody is paged for it.'),
  input_tokens: z.boolean().default(true).describe('Whether the length of the input is such a thing as well, for a prompt that did not change itself.'),
});
export type MixSettings = z.output<typeof MixSettings>;
