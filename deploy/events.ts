import type { ProjectSummary } from '../analyzer/ingest/draft.ts';
import type { ApiEvent, EventSource } from '../api/events.ts';

/** What happens, to the pages that are open on its project, and to no other. */
export type Events = {
  of(project: string): EventSource;
  publish(project: string, event: Omit<ApiEvent, 'id'>): void;
};

export function createEvents(): Events {
  const listeners = new Map<string, Set<(event: ApiEvent) => void>>();
  let last = 0;
  return {
    of: (project) => ({
      subscribe(listener) {
        const own = listeners.get(project) ?? new Set();
        listeners.set(project, own.add(listener));
        return () => {
          own.delete(listener);
          if (own.size === 0 && listeners.get(project) === own) listeners.delete(project);
        };
      },
    }),
    publish(project, event) {
      last += 1;
      for (const listener of listeners.get(project) ?? []) listener({ id: String(last), ...event });
    },
  };
}

const MAX_PROMPTS = 100;

/** What was written since it was last told of: one event for many batches. */
export function createArrivals(events: Events) {
  let arrived = new Map<string, { calls: number; scores: number; prompts: Set<string> }>();
  return {
    add(projects: readonly ProjectSummary[]): void {
      for (const { project, calls, scores, prompts } of projects) {
        const sum = arrived.get(project) ?? { calls: 0, scores: 0, prompts: new Set() };
        sum.calls += calls;
        sum.scores += scores;
        for (const prompt of prompts) if (sum.prompts.size < MAX_PROMPTS) sum.prompts.add(prompt);
        arrived.set(project, sum);
      }
    },
    tell(): void {
      for (const [project, { calls, scores, prompts }] of arrived) events.publish(project, { type: 'calls', data: { calls, scores, prompts: [...prompts] } });
      arrived = new Map();
    },
  };
}
