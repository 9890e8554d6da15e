import { afterAll, beforeAll, expect, it } from 'vitest';
import { createAlertRecord } from '../../analyzer/look/alert-record.ts';
import { createLookRows, loadAlertStates } from '../../analyzer/look/look-store.ts';
import { createTransition } from '../../api/transition.ts';
import type { Alert } from '../../schemas/alert.ts';
import { jsonOf } from '../analyzer/ingest/ingesting.ts';
import { openApi, type TestApi } from './server.ts';
import { alertAt } from './sinks/alert.ts';

/** A person and the look change an alert at the same moment: both read the same history, so both take the same sequence number. */

let api: TestApi;
beforeAll(async () => {
  api = await openApi();
});
afterAll(() => api.close());

const ignore = (): void => undefined;

/** An alert that the look raised; `look` is its record of it. The store as a person sees it who has read the history before the look wrote on. */
async function raised(id: string) {
  const rows = createLookRows(api.store);
  const look = createAlertRecord(rows, `cmp_${id}`);
  const atMs = api.clock.nowMs - 60_000;
  const alert = look.change(alertAt(id, 'open', atMs), { atMs, reason: 'evidence past its threshold' });
  await rows.flush();
  const history = await api.store.select('SELECT sequence, comparison_id, body FROM alert_transitions WHERE alert_id = {id:String}', { id });
  // The rows are those of the store, which the port hands on untyped.
  const before = { ...api.store, select: async <Row>() => history as Row[] };
  return { rows, look, alert, person: createTransition({ store: before, clock: () => api.clock.nowMs }, ignore) };
}

type Detail = Alert & { transitions: { sequence: number; state: string; reason: string }[] };
const detailOf = async (id: string): Promise<Detail> => jsonOf<Detail>(await api.app.request(`/v1/alerts/${id}`));

it('keeps both of two transitions with one number, and the alert that one of them resolved stays resolved', async () => {
  const { rows, look, alert, person } = await raised('alr_both');
  const atMs = api.clock.nowMs - 20_000;
  look.change({ ...alert, state: 'resolved', resolved_at: new Date(atMs).toISOString() }, { atMs, reason: 'v2 takes no more traffic' });
  await Promise.all([rows.flush(), person('alr_both', { state: 'acknowledged', who: '', reason: 'mira' })]);
  const detail = await detailOf('alr_both');
  expect(detail.transitions.map(({ sequence, state, reason }) => [sequence, state, reason])).toEqual([[1, 'open', 'evidence past its threshold'], [2, 'acknowledged', 'mira'], [2, 'resolved', 'v2 takes no more traffic']]);
  expect(detail.state).toBe('resolved');
  const listed = await jsonOf<{ alerts: Alert[] }>(await api.app.request('/v1/alerts?state=resolved'));
  expect(listed.alerts.map(({ id }) => id)).toContain('alr_both');
  look.adopt((await loadAlertStates(api.store, ['cmp_alr_both'])).get('cmp_alr_both'));
  expect(look.current()?.state).toBe('resolved');
  // Merged rows are the same rows.
  await api.store.command('OPTIMIZE TABLE alert_transitions FINAL');
  expect((await detailOf('alr_both')).transitions).toHaveLength(3);
});

it('lets the look adopt what a person decided at its very moment, and go on from there', async () => {
  const { rows, look, alert, person } = await raised('alr_ack');
  look.change({ ...alert, severity: 'ticket' }, { atMs: api.clock.nowMs - 20_000, reason: 'revised' });
  await Promise.all([rows.flush(), person('alr_ack', { state: 'acknowledged', who: '', reason: 'mira' })]);
  look.adopt((await loadAlertStates(api.store, ['cmp_alr_ack'])).get('cmp_alr_ack'));
  expect(look.current()?.state).toBe('acknowledged');
  look.change({ ...alert, state: 'resolved' }, { atMs: api.clock.nowMs, reason: 'over' });
  await rows.flush();
  expect((await detailOf('alr_ack')).transitions.map(({ sequence }) => sequence)).toEqual([1, 2, 2, 3]);
});

it('writes the same row when the same transition is written again', async () => {
  const { rows, alert } = await raised('alr_again');
  createAlertRecord(rows, 'cmp_alr_again').change(alert, { atMs: api.clock.nowMs - 60_000, reason: 'evidence past its threshold' });
  await rows.flush();
  expect((await detailOf('alr_again')).transitions).toHaveLength(1);
});
