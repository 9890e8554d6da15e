import { hash } from 'node:crypto';
import type { Vendor } from './route.ts';

/**
 * Humanloop: its `@flow` decorator asks for the id of a log before it runs the function, and does not run it without one. The
 * log itself is not read; what it says is on the flow's span. Source: humanloop 0.8, `decorators/flow.py`, as captured.
 */
export const humanloop: Vendor = {
  routes: [
    {
      method: 'POST',
      path: /\/flows\/log\/?$/,
      read({ body }) {
        const named = (prefix: string) => `${prefix}_${hash('sha256', JSON.stringify([prefix, body ?? null]), 'hex').slice(0, 21)}`;
        return { kind: 'scores', scores: [], status: 200, answer: { id: named('log'), flow_id: named('fl'), version_id: named('flv'), log_status: 'incomplete' } };
      },
    },
  ],
  refusal: (_status, detail) => ({ detail }),
};
