import { z } from 'zod';
import { LABELS, Matcher } from './matcher.ts';

/** Which alerts go to which sinks, and to whom when nobody answers. Read in order; what no route fits goes to every sink. */

const SinkNames = z.array(z.string().min(1)).min(1).max(50);

export const RouteEntry = z.strictObject({
  match: z.array(Matcher).max(20).default([]).describe('All must fit; none: every alert.'),
  sinks: SinkNames,
  continue: z.boolean().default(false).describe('Whether later routes are read as well.'),
  group_by: z.array(z.enum(LABELS)).max(5).default([]).describe('What wait at a throttled sink is put together within equal labels only.'),
  escalate: z
    .array(z.strictObject({ after_s: z.number().int().min(10).max(604_800), sinks: SinkNames }))
    .max(5)
    .default([])
    .describe('Sinks that are told when nobody has acknowledged for so long.'),
});
export type Route = z.output<typeof RouteEntry>;
