import type { Alert } from '../../schemas/alert.ts';
import type { LimitFlag } from '../../schemas/call-flags.ts';
import type { Store } from '../../schemas/store.ts';
import { OVER_LIMIT, type CardinalityLimits } from '../ingest/cardinality.ts';
import type { FaultKind } from './fault.ts';

/**
 * More versions of a prompt, or prompts of a project, than are kept apart in a day: what is past the limit is filed under `(other)` and compared
 * with nothing (ingest/cardinality.ts). Mostly it is an id of the request in the place of the version, so nothing of that prompt is watched.
 */
export function cardinalityFault(limits: CardinalityLimits): FaultKind {
  const text = (count: number): string => count.toLocaleString('en-US');
  const past: Record<LimitFlag, (prompt: string | null) => string> = {
    version_over_limit: (prompt) => `${prompt ?? 'a prompt without a name'} has more than ${text(limits.versionsPerPrompt)} versions in a day`,
    prompt_over_limit: () => `there are more than ${text(limits.promptsPerProject)} prompts in a day`,
    project_over_limit: () => `all prompts together have more than ${text(limits.versionsPerProject)} versions in a day`,
  };
  return {
    name: 'cardinality',
    normal: 'nothing past the limits of a day',
    // A limit is of a day: one that is reached again every evening is one fault, not many.
    calmMs: 60_000,
    gone: 'for 24 hours nothing was past the limit',
    async find({ store, nowMs }) {
      const rows = await store.select<{ project: string; prompt: string; limit_flag: LimitFlag; first_environment: string; environments: number; sum_calls: number; first_ms: number }>(
        `SELECT project, if(value = 'version_over_limit', prompt_name, '') AS prompt, value AS limit_flag, min(environment) AS first_environment, uniqExact(environment) AS environments,
                sum(versions.calls) AS sum_calls, min(versions.first_seen_ms) AS first_ms
         FROM versions WHERE factor = {factor:String} GROUP BY project, prompt, limit_flag HAVING max(versions.last_seen_ms) > {since_ms:UInt64}
         ORDER BY project, first_ms, prompt LIMIT {most:UInt32} BY project, limit_flag`,
        { factor: OVER_LIMIT, since_ms: Math.max(0, nowMs - DAY_MS), most: MOST_PROMPTS },
      );
      return Promise.all(
        rows.map(async ({ project, prompt, limit_flag, first_environment, environments, sum_calls, first_ms }) => {
          const name = limit_flag === 'version_over_limit' && prompt !== '' ? prompt : null;
          const kept = await newestKept(store, { project, prompt: name, limit_flag });
          const such = kept.length === 0 ? '' : ` (${kept.map(quoted).join(', ')}, …)`;
          return {
            project,
            environment: environments === 1 ? first_environment : null,
            prompt: name,
            subject: `${limit_flag}/${prompt}`,
            observed: sum_calls,
            allowed: 0,
            sinceMs: first_ms,
            summary: `${past[limit_flag](name)}${such}: further ones are filed under (other) and compared with nothing`,
            advice: `Set ${limit_flag === 'prompt_over_limit' ? 'gen_ai.prompt.name to the name of the prompt' : 'gen_ai.prompt.version to what changes when the prompt is changed'}, not to an id, a time or the text of a request. npx culprit inspect shows which key it is read from. Once that is done, versions are kept apart again from the next day (UTC) on.`,
            examples: () => selectExamples(store, { project, prompt: name, limit_flag, sinceMs: Math.max(0, nowMs - DAY_MS) }),
          };
        }),
      );
    },
  };
}

const DAY_MS = 86_400_000;
/** Prompts of a project that get an alert of their own. One sender that tags all its prompts in the same wrong way is found by the first of them. */
const MOST_PROMPTS = 10;
const SHOWN = 3;

type Place = { readonly project: string; readonly prompt: string | null; readonly limit_flag: LimitFlag };

/** Of what was still kept apart: what came last looks like what came after it. */
async function newestKept(store: Store, { project, prompt, limit_flag }: Place): Promise<string[]> {
  const rows = await store.select<{ kept: string }>(
    `SELECT if({flag:String} = 'prompt_over_limit', prompt_name, value) AS kept FROM versions
     WHERE project = {project:String} AND factor = 'prompt_version' AND ({prompt:String} = '' OR prompt_name = {prompt:String})
     GROUP BY kept ORDER BY max(versions.first_seen_ms) DESC, kept LIMIT {limit:UInt32}`,
    { project, prompt: prompt ?? '', flag: limit_flag, limit: SHOWN },
  );
  return rows.map(({ kept }) => kept);
}

async function selectExamples(store: Store, { project, prompt, limit_flag, sinceMs }: Place & { readonly sinceMs: number }): Promise<Alert['examples']> {
  const rows = await store.select<{ trace_id: string; span_id: string }>(
    `SELECT trace_id, span_id FROM calls WHERE project = {project:String} AND event_time >= {since_s:UInt32} AND has(flags, {flag:String}) AND ({prompt:String} = '' OR prompt_name = {prompt:String})
     ORDER BY event_time, trace_id, span_id LIMIT {limit:UInt32}`,
    { project, prompt: prompt ?? '', flag: limit_flag, since_s: Math.floor(sinceMs / 1000), limit: SHOWN },
  );
  return rows.map((row) => ({ ...row, why: 'filed under (other)' }));
}

/** Short, and without what would end a sentence or a parenthesis for whoever reads it. */
function quoted(value: string): string {
  const short = value.replace(/[()\s]+/g, ' ').trim();
  return short.length <= 40 ? short : `${short.slice(0, 39).toWellFormed()}…`;
}
