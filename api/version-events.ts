import type { Alert } from '../schemas/alert.ts';
import type { Store } from '../schemas/store.ts';
import { VersionFacts, versionEventId, type VersionEvent } from '../schemas/version.ts';

/** Reads and writes the table `version_events`. */

type Row = { prompt_name: string; version: string; at_ms: number; kind: VersionEvent['kind']; source: VersionEvent['source']; actor: string; label: string; facts: string };

const COLUMNS = 'prompt_name, version, at_ms, kind, source, actor, label, facts';

/** Facts that stand in an alert. */
const TOLD_IN_ALERTS = ['commit', 'author', 'owner', 'diff_url'] as const;

export type VersionEvents = {
  /** Appends what is new; resolves, when it is durable, with how many that were. */
  append(project: string, events: readonly VersionEvent[], told: 'dated' | 'undated'): Promise<number>;
  /** Newest first. */
  list(project: string, filter: { readonly prompt?: string | undefined; readonly version?: string | undefined; readonly from_ms: number; readonly to_ms: number; readonly limit: number }): Promise<VersionEvent[]>;
  /** What holds of each version of a prompt: the newest word on each fact. */
  factsOf(project: string, prompt: string): Promise<Map<string, VersionFacts>>;
  /** The alert with what has become known of its version: commit, author, owner, diff. What it says itself stays. */
  complete(alert: Alert): Promise<Alert>;
  /** The same of many alerts of a project, with one question to the store; in their order. */
  completeAll(project: string, alerts: readonly Alert[]): Promise<Alert[]>;
};

export function createVersionEvents(store: Store): VersionEvents {
  const factsOf: VersionEvents['factsOf'] = async (project, prompt) => {
    const rows = await store.select<Row>(
      `SELECT ${COLUMNS} FROM version_events FINAL WHERE project = {project:String} AND prompt_name = {prompt:String} AND facts != '{}' ORDER BY at_ms DESC, event_id DESC LIMIT 10000`,
      { project, prompt },
    );
    const facts = new Map<string, VersionFacts>();
    for (const row of rows.toReversed()) facts.set(row.version, { ...facts.get(row.version), ...parsed(row.facts) });
    return facts;
  };

  const completeAll: VersionEvents['completeAll'] = async (project, alerts) => {
    const named = alerts.flatMap(({ prompt, prompt_version }) => (prompt === null || prompt_version === null ? [] : [{ prompt, version: prompt_version }]));
    if (named.length === 0) return [...alerts];
    const newest = TOLD_IN_ALERTS.map((fact) => `argMaxIf(JSONExtractString(facts, '${fact}'), (at_ms, event_id), JSONHas(facts, '${fact}')) AS ${fact}`).join(', ');
    const rows = await store.select<{ prompt_name: string; version: string } & Record<(typeof TOLD_IN_ALERTS)[number], string>>(
      `SELECT prompt_name, version, ${newest} FROM version_events FINAL WHERE project = {project:String} AND prompt_name IN {prompts:Array(String)} AND facts != '{}'
         AND (version IN {versions:Array(String)} OR match(version, '^[0-9a-f]{7,40}$')) GROUP BY prompt_name, version ORDER BY max(version_events.at_ms) DESC LIMIT 10000`,
      { project, prompts: [...new Set(named.map(({ prompt }) => prompt))], versions: [...new Set(named.map(({ version }) => version))] },
    );
    const facts = new Map<string, Map<string, VersionFacts>>();
    for (const { prompt_name, version, ...told } of rows) {
      const ofPrompt = facts.get(prompt_name) ?? new Map<string, VersionFacts>();
      facts.set(prompt_name, ofPrompt.set(version, Object.fromEntries(Object.entries(told).filter(([, value]) => value !== ''))));
    }
    return alerts.map((alert) => {
      const { prompt, prompt_version, culprit } = alert;
      if (prompt === null || prompt_version === null) return alert;
      const known = factOf(facts.get(prompt) ?? new Map(), prompt_version);
      const { commit, author, owner, diff_url } = culprit;
      return { ...alert, culprit: { ...culprit, commit: commit ?? known.commit ?? null, author: author ?? known.author ?? null, owner: owner ?? known.owner ?? null, diff_url: diff_url ?? known.diff_url ?? null } };
    });
  };

  /** A registry that names all labels of a version says of most of them what is known. */
  const newestOfLabels = async (project: string, prompts: readonly string[]): Promise<Map<string, string>> => {
    const rows = await store.select<{ prompt_name: string; label: string; said: string }>(
      `SELECT prompt_name, label, argMax(concat(kind, ' ', version), (at_ms, event_id)) AS said FROM version_events
       WHERE project = {project:String} AND prompt_name IN {prompts:Array(String)} AND label != '' GROUP BY prompt_name, label LIMIT 10000`,
      { project, prompts },
    );
    return new Map(rows.map(({ prompt_name, label, said }) => [`${prompt_name}\0${label}`, said]));
  };

  return {
    async append(project, events, told) {
      const rows = new Map(events.map((event) => [versionEventId(event, told === 'dated'), event]));
      if (rows.size === 0) return 0;
      const prompts = [...new Set(events.map(({ prompt }) => prompt))];
      const labels = await newestOfLabels(project, prompts);
      const known = await store.select<{ event_id: string }>('SELECT event_id FROM version_events WHERE project = {project:String} AND prompt_name IN {prompts:Array(String)} AND event_id IN {ids:Array(String)}', {
        project,
        prompts,
        ids: [...rows.keys()],
      });
      for (const { event_id } of known) rows.delete(event_id);
      for (const [id, { kind, prompt, label, version }] of rows) if (label !== null && labels.get(`${prompt}\0${label}`) === `${kind} ${version}`) rows.delete(id);
      await store.insert('version_events', [...rows].map(([event_id, { prompt, facts, actor, label, ...event }]) => ({ project, prompt_name: prompt, event_id, ...event, actor: actor ?? '', label: label ?? '', facts: JSON.stringify(facts) })));
      return rows.size;
    },
    async list(project, { prompt, version, from_ms, to_ms, limit }) {
      const rows = await store.select<Row>(
        `SELECT ${COLUMNS} FROM version_events FINAL WHERE project = {project:String} AND at_ms >= {from_ms:UInt64} AND at_ms <= {to_ms:UInt64}
         ${prompt === undefined ? '' : 'AND prompt_name = {prompt:String}'} ${version === undefined ? '' : 'AND version = {version:String}'} ORDER BY at_ms DESC, event_id LIMIT {limit:UInt32}`,
        { project, from_ms, to_ms, limit, ...(prompt === undefined ? {} : { prompt }), ...(version === undefined ? {} : { version }) },
      );
      return rows.map(({ prompt_name, actor, label, facts, ...row }) => ({ prompt: prompt_name, ...row, actor: actor === '' ? null : actor, label: label === '' ? null : label, facts: parsed(facts) }));
    },
    factsOf,
    async complete(alert) {
      const [completed = alert] = await completeAll(alert.project, [alert]);
      return completed;
    },
    completeAll,
  };
}

/** A version that is a commit may be written short in spans and whole in Git. */
export function factOf(facts: ReadonlyMap<string, VersionFacts>, version: string): VersionFacts {
  const exact = facts.get(version);
  if (exact !== undefined || !/^[0-9a-f]{7,40}$/.test(version)) return exact ?? {};
  const matching = [...facts].filter(([known]) => /^[0-9a-f]{7,40}$/.test(known) && (known.startsWith(version) || version.startsWith(known)));
  return matching.length === 1 ? (matching[0]?.[1] ?? {}) : {};
}

/** Written by this API from the same schema. */
function parsed(facts: string): VersionFacts {
  return VersionFacts.catch({}).parse(JSON.parse(facts));
}
