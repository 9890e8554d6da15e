import { humanloop } from './humanloop.ts';
import { langfuse } from './langfuse.ts';
import { langsmith } from './langsmith.ts';
import { phoenix } from './phoenix.ts';
import { promptlayer } from './promptlayer.ts';
import type { Vendor } from './route.ts';
import { scores } from './scores.ts';
import { traceloop } from './traceloop.ts';

/** First that has a route for a request takes it. */
export const vendors: readonly Vendor[] = [scores, langfuse, langsmith, phoenix, promptlayer, traceloop, humanloop];
