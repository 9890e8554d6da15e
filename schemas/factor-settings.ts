import { z } from 'zod';

/** What is compared besides versions, models, providers, application versions and texts, of which nothing has to be said. */

/** Words that factors have already. */
const TAKEN = ['prompt_version', 'request_model', 'model', 'provider', 'app_version', 'prompt_content', 'unknown', 'mix', 'pipeline'];

export const FactorSettings = z.strictObject({
  attributes: z
    .array(z.string().min(1).max(256).refine((name) => !TAKEN.includes(name), { error: 'is the name of a factor that is compared anyway; remove it' }))
    .max(8)
    .default([])
    .describe('Span attributes whose new values are compared with the earlier ones, such as deployment.ring.'),
});
