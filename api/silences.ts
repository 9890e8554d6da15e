import { z } from '@hono/zod-openapi';
import { derivedId } from '../schemas/derived-id.ts';
import { compileMatchers } from '../schemas/matcher.ts';
import type { Clock } from '../schemas/clock.ts';
import type { Store } from '../schemas/store.ts';
import type { ActiveSilence } from './routing.ts';

/** Silences: what matches one is not told while it lasts. Append-only rows; the newest revision of one is the one. */

export type KeptSilence = {
  id: string;
  matchers: string[];
  starts_ms: number;
  ends_ms: number;
  /** Who made or ended it last, when and why. */
  who: string;
  reason: string;
  at_ms: number;
  state: 'pending' | 'active' | 'ended';
};

export type NewSilence = Pick<KeptSilence, 'matchers' | 'starts_ms' | 'ends_ms' | 'who' | 'reason'>;

export type Silences = {
  /** Newest first. */
  list(project: string, limit: number): Promise<KeptSilence[]>;
  active(nowMs: number): Promise<(ActiveSilence & { readonly project: string })[]>;
  /** Of the same project, matchers, start and person: the same silence, made once. */
  add(project: string, silence: NewSilence): Promise<KeptSilence>;
  /** Null where there is none. One that has ended stays as it is. */
  end(project: string, id: string, by: { who: string; reason: string }): Promise<KeptSilence | null>;
};

type Row = Omit<KeptSilence, 'id' | 'state'> & { silence_id: string; revision: number; project: string };

const NEWEST = `SELECT silence_id, revision, project, matchers, starts_ms, ends_ms, at_ms, who, reason FROM silences FINAL`;

/** @param onEnd what was held back by a silence can be told; called after it was ended. */
export function createSilences({ store, clock }: { store: Store; clock: Clock }, onEnd: (silenceId: string) => Promise<void>): Silences {
  const shown = ({ silence_id, revision: _revision, project: _project, ...row }: Row): KeptSilence => ({ id: silence_id, ...row, matchers: [...row.matchers], state: stateAt(row, clock()) });
  return {
    async list(project, limit) {
      const rows = await store.select<Row>(`${NEWEST} WHERE project = {project:String} ORDER BY revision DESC LIMIT 1 BY silence_id`, { project });
      return rows.map(shown).sort((one, other) => other.at_ms - one.at_ms || (one.id < other.id ? -1 : 1)).slice(0, limit);
    },
    async active(nowMs) {
      const rows = await store.select<Row>(`SELECT * FROM (${NEWEST} ORDER BY revision DESC LIMIT 1 BY silence_id) WHERE starts_ms <= {now:UInt64} AND ends_ms > {now:UInt64} ORDER BY ends_ms DESC, silence_id`, { now: nowMs });
      return rows.map(({ silence_id, project, ends_ms, matchers }) => ({ id: silence_id, project, ends_ms, matches: ofProject(project, compileMatchers(matchers)) }));
    },
    async add(project, silence) {
      const { matchers, starts_ms, who } = silence;
      const silence_id = derivedId('sil', JSON.stringify([project, matchers, starts_ms, who]));
      const row: Row = { silence_id, revision: 1, project, at_ms: clock(), ...silence };
      await store.insert('silences', [row]);
      return shown(row);
    },
    async end(project, id, { who, reason }) {
      const [row] = await store.select<Row>(`${NEWEST} WHERE project = {project:String} AND silence_id = {id:String} ORDER BY revision DESC LIMIT 1`, { project, id });
      if (row === undefined) return null;
      const nowMs = clock();
      if (row.ends_ms <= nowMs) return shown(row);
      const ended: Row = { ...row, revision: row.revision + 1, starts_ms: Math.min(row.starts_ms, nowMs), ends_ms: nowMs, at_ms: nowMs, who, reason };
      await store.insert('silences', [ended]);
      await onEnd(id);
      return shown(ended);
    },
  };
}

function stateAt({ starts_ms, ends_ms }: Pick<KeptSilence, 'starts_ms' | 'ends_ms'>, nowMs: number): KeptSilence['state'] {
  return nowMs >= ends_ms ? 'ended' : nowMs < starts_ms ? 'pending' : 'active';
}

function ofProject(project: string, matches: ActiveSilence['matches']): ActiveSilence['matches'] {
  return (labels) => labels.project === project && matches(labels);
}

/** As the API shows it. */
export const Silence = z
  .object({
    id: z.string(),
    matchers: z.array(z.string()),
    starts_at: z.string(),
    ends_at: z.string(),
    state: z.enum(['pending', 'active', 'ended']),
    by: z.string(),
    reason: z.string(),
    changed_at: z.string().openapi({ description: 'when it was made, or ended early' }),
  })
  .openapi('Silence', {
    example: { id: 'sil_0a1b2c3d4e5f60718293', matchers: ['prompt=support/*', 'severity=ticket'], starts_at: '2026-06-01T08:30:00.000Z', ends_at: '2026-06-01T10:30:00.000Z', state: 'active', by: 'mira', reason: 'load test', changed_at: '2026-06-01T08:30:00.000Z' },
  });

export const MOST_SILENCES = 1000;

export function shownSilence({ id, matchers, starts_ms, ends_ms, state, who, reason, at_ms }: KeptSilence): z.infer<typeof Silence> {
  return { id, matchers, starts_at: iso(starts_ms), ends_at: iso(ends_ms), state, by: who, reason, changed_at: iso(at_ms) };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
