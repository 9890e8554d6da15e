import { z } from 'zod';
import type { Config } from '../../schemas/config.ts';
import { BUILT_IN_METRICS, builtIn, matchesGlob } from '../../schemas/metric-settings.ts';
import { nearest } from '../settings.ts';
import { ok, watch, type Finding } from './finding.ts';

/** Scores and prompts that the file names and nobody sends. Any name may still come, so no start refuses one that is misspelt, and its rule is a rule for nothing. */
type Named = Pick<Config, 'metrics' | 'prompts'>;
type Seen = { readonly scores: readonly string[]; readonly prompts: readonly string[] };

const Names = z.object({ data: z.array(z.tuple([z.string()])) });
const DAYS = 7;
const MOST = 10_000;

/** @param ask one SELECT, answered as /v1/query answers in JSON. */
export async function examineNames(config: Named, ask: (sql: string) => Promise<unknown>): Promise<Finding[]> {
  if (Object.keys(config.metrics).length + Object.keys(config.prompts).length === 0) return [];
  const namesOf = async (column: string, view: string): Promise<string[]> =>
    Names.parse(await ask(`SELECT DISTINCT assumeNotNull(${column}) FROM ${view} WHERE time > now() - INTERVAL ${DAYS} DAY AND ${column} IS NOT NULL LIMIT ${MOST}`)).data.map(([name]) => name);
  return namesFindings(config, { scores: await namesOf('name', 'llm_scores'), prompts: await namesOf('prompt_name', 'llm_calls') });
}

export function namesFindings({ metrics, prompts }: Named, seen: Seen): Finding[] {
  // Before the first call every name is one that is still to come.
  if (seen.prompts.length === 0) return [];
  const rules = [{ at: 'metrics', metrics }, ...Object.entries(prompts).map(([prompt, rule]) => ({ at: `prompts.${prompt}.metrics`, metrics: rule.metrics ?? {} }))];
  const known = [...Object.keys(BUILT_IN_METRICS), ...seen.scores];
  const strange = [
    ...rules.flatMap(({ at, metrics }) => Object.keys(metrics).filter((name) => builtIn(name) === undefined && !seen.scores.includes(name)).map((name) => unseen(`${at}.${name}`, 'score of that name', nearest(name, known)))),
    ...Object.keys(prompts).filter((pattern) => !seen.prompts.some((prompt) => (pattern.includes('*') ? matchesGlob(pattern, prompt) : pattern === prompt))).map((name) => unseen(`prompts.${name}`, 'call of such a prompt', nearest(name, seen.prompts))),
  ];
  return strange.length > 0 ? strange : [ok('names in the configuration', `all came in the last ${DAYS} days`)];
}

function unseen(setting: string, what: string, meant: string | null): Finding {
  return watch(setting, `no ${what} came in the last ${DAYS} days`, meant === null ? 'correct its spelling, or leave it for what is still to come' : `did you mean ${meant}?`);
}
