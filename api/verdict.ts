import { z } from '@hono/zod-openapi';

/** `regressed` and `not_worse` are proved; everything else, errors included, is `undecided` or `no_data`. */
export const Verdict = z.enum(['regressed', 'not_worse', 'undecided', 'no_data']);
export type Verdict = z.infer<typeof Verdict>;
