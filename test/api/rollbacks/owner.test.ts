import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createAlertRecord } from '../../../analyzer/look/alert-record.ts';
import { createLookRows, loadAlertStates } from '../../../analyzer/look/look-store.ts';
import { RetryableError } from '../../../schemas/errors.ts';
import type { Store } from '../../../schemas/store.ts';
import { openOwning } from './owning.ts';

let on: Awaited<ReturnType<typeof openOwning>>;
beforeAll(async () => {
  on = await openOwning();
});
afterEach(() => on.clear());
afterAll(() => on.close());

const ACT = { mode: 'act', hook: 'ops', veto_s: 120, cooldown_s: 3600 };
const keys = (received: readonly { headers: Record<string, unknown> }[]): string[] => received.map(({ headers }) => String(headers['idempotency-key']));

describe('by itself', () => {
  it('waits for a veto, asks once, and writes down what was asked and answered', async () => {
    const { entry, received } = await on.hookServer();
    const { rounds } = on.start(ACT, entry);
    const alert = await on.raise();
    await rounds();
    on.pass(119);
    await rounds();
    expect(received).toEqual([]);
    on.pass(2);
    await rounds();
    await rounds();
    const { states, rollback } = await on.of(alert);
    expect(states).toEqual(['waiting', 'asked', 'done']);
    expect(keys(received)).toEqual([rollback.identity.rollback_id]);
    expect(rollback.last).toMatchObject({ who: '', answer: 'HTTP 200', attempt: 1, request: expect.stringMatching(/rollback\.requested, prompt-\d+ from v2 to v1\nPOST .*: HTTP 200$/) });
    expect(await on.told(alert)).toEqual([
      ['rollback', 'Rolls back to v1 at 09:02:00 UTC, unless somebody vetoes'],
      ['rollback', 'ops was asked to roll back to v1: HTTP 200. Whether it helps is being tested'],
    ]);
    const audit = await on.store.select<object>('SELECT actor_kind, actor, action, target, result, detail FROM audit_log');
    expect(audit).toMatchObject([{ actor_kind: 'system', actor: 'rollback hook ops', action: 'rollback.ask', target: alert.id, result: 'done', detail: expect.stringContaining('by itself, attempt 1') }]);
    expect(JSON.stringify([audit, rollback])).not.toContain('whsec_');
  });

  it('does nothing where it may only notify, for a ticket, weak evidence, another factor, environment or project', async () => {
    const { entry, received } = await on.hookServer();
    const { rounds } = on.start({ ...ACT, veto_s: 0, environments: ['production'] }, entry);
    const { evidence, culprit } = await on.raise({ prompt: 'other' });
    await on.raise({ severity: 'ticket' });
    await on.raise({ evidence: { ...evidence, grade: 'alone' } });
    await on.raise({ culprit: { ...culprit, factor: 'model' } });
    await on.raise({ environment: 'staging' });
    await on.raise({ project: 'of somebody else' });
    await rounds();
    await on.start({ mode: 'notify', hook: 'ops' }, entry).rounds();
    expect([received, await on.store.select('SELECT * FROM rollbacks')]).toEqual([[], []]);
  });

  it('a veto stops it, for good', async () => {
    const { entry, received } = await on.hookServer();
    const { rounds, desk } = on.start(ACT, entry);
    const alert = await on.raise();
    await rounds();
    await desk.decide(alert, { action: 'veto', who: 'mira', reason: 'it is the provider' });
    on.pass(600);
    await rounds();
    expect(received).toEqual([]);
    expect((await on.of(alert)).states).toEqual(['waiting', 'vetoed']);
    expect(await on.told(alert)).toContainEqual(['rollback', 'mira vetoed the rollback: it is the provider']);
  });

  it('never two in a row for one prompt without a person', async () => {
    const { entry, received } = await on.hookServer();
    const { rounds } = on.start({ ...ACT, veto_s: 0, cooldown_s: 0 }, entry);
    const first = await on.raise();
    await rounds();
    on.pass(60);
    const second = await on.raise({ prompt: first.prompt });
    await rounds();
    expect((await on.of(second)).says).toBe('Rolling back to v1 is proposed: the last rollback of this prompt was done without a person, and nobody has looked at it since');
    on.pass(60);
    await on.acknowledge(first);
    on.pass(60);
    const third = await on.raise({ prompt: first.prompt });
    await rounds();
    expect((await on.of(third)).states).toEqual(['waiting', 'asked', 'done']);
    expect(received).toHaveLength(2);
  });

  it('keeps to its cool-down and its limits, over all prompts, also where many wait at once', async () => {
    const { entry, received } = await on.hookServer();
    const { rounds } = on.start(ACT, entry, { limits: { per_hour: 2 } });
    const alerts = [await on.raise(), await on.raise(), await on.raise()];
    await rounds();
    on.pass(121);
    await rounds();
    expect(received).toHaveLength(2);
    const states = await Promise.all(alerts.map(async (alert) => (await on.of(alert)).states.join(' ')));
    expect(states.toSorted()).toEqual(['waiting asked done', 'waiting asked done', 'waiting proposed']);
    const done = alerts.find((_, index) => states[index] === 'waiting asked done');
    if (done === undefined) throw new Error('none was done');
    on.pass(60);
    await on.acknowledge(done);
    on.pass(1800);
    const again = await on.raise({ prompt: done.prompt });
    await rounds();
    expect((await on.of(again)).says).toContain('a rollback of this prompt was less than 3600 s ago');
  });

  it('a dry run writes down what it would ask', async () => {
    const { entry, received } = await on.hookServer();
    const { rounds } = on.start({ ...ACT, veto_s: 0, dry_run: true }, entry);
    const alert = await on.raise();
    await rounds();
    expect(received).toEqual([]);
    expect((await on.of(alert)).says).toMatch(/^Dry run, nothing was asked\. It would have been: POST .*rollback\.requested/);
  });
});

describe('with a person', () => {
  it('proposes, and asks when somebody confirms, whatever the cool-down says', async () => {
    const { entry, received } = await on.hookServer();
    const { rounds, desk } = on.start({ mode: 'propose', hook: 'ops' }, entry);
    const alert = await on.raise();
    on.pass(3600);
    await rounds();
    expect([received, (await on.of(alert)).says]).toEqual([[], 'Rolling back to v1 is proposed: a person confirms it']);
    // Whoever was told of the alert has the button: that is no news.
    expect(await on.told(alert)).toEqual([['updated', 'Rolling back to v1 is proposed: a person confirms it']]);
    await desk.decide(alert, { action: 'confirm', who: 'mira', reason: '' });
    await rounds();
    const { states, rollback } = await on.of(alert);
    expect(states).toEqual(['proposed', 'confirmed', 'asked', 'done']);
    expect(rollback.last.who).toBe('mira');
    expect(received).toHaveLength(1);
    for (const action of ['confirm', 'veto'] as const) await expect(desk.decide(alert, { action, who: 'jo', reason: '' })).rejects.toThrow('It is too late for that: the rollback is done.');
  });

  it('a veto that is written at the very moment of asking stops it, or says that it came too late', async () => {
    const { entry, received } = await on.hookServer();
    const alert = await on.raise();
    // Between the row "asked" and reading it again.
    const slow: Store = {
      ...on.store,
      insert: async (table, rows) => {
        await on.store.insert(table, rows);
        const [row] = rows;
        if (table === 'rollbacks' && row !== undefined && Reflect.get(row, 'state') === 'asked') await on.store.insert(table, [{ ...row, state: 'vetoed', who: 'mira' }]);
      },
    };
    const { rounds } = on.start({ ...ACT, veto_s: 0 }, entry, { store: slow });
    await rounds();
    expect(received).toEqual([]);
    expect((await on.of(alert)).says).toMatch(/^mira vetoed the rollback/);
  });
});

describe('faults', () => {
  it('a process that dies between asking and recording asks again with the same key', async () => {
    const { entry, received } = await on.hookServer();
    const alert = await on.raise();
    const dying: Store = {
      ...on.store,
      insert: (table, rows) => (table === 'rollbacks' && received.length > 0 ? Promise.reject(new RetryableError('the process is gone')) : on.store.insert(table, rows)),
    };
    const before = on.start({ ...ACT, veto_s: 0 }, entry, { store: dying });
    await before.owner.round();
    await before.owner.settled();
    expect([(await on.of(alert)).states, before.warnings.length]).toEqual([['waiting', 'asked'], 1]);

    const after = on.start({ ...ACT, veto_s: 0 }, entry);
    await after.rounds();
    expect(received).toHaveLength(1);
    on.pass(1);
    await after.rounds();
    expect(new Set(keys(received)).size).toBe(1);
    expect([received.length, (await on.of(alert)).states]).toEqual([2, ['waiting', 'asked', 'asked', 'done']]);
  });

  it('a restart in the veto window goes on waiting for the rest of it', async () => {
    const { entry, received } = await on.hookServer();
    await on.raise();
    await on.start(ACT, entry).rounds();
    on.pass(60);
    on.time.elapsedMs = 0;
    const after = on.start(ACT, entry);
    await after.rounds();
    on.pass(59);
    await after.rounds();
    expect(received).toEqual([]);
    on.pass(2);
    await after.rounds();
    expect(received).toHaveLength(1);
  });

  it('a clock that is put forward does not shorten the veto window, one that is put back does not lengthen it', async () => {
    for (const jumpMs of [600_000, -3_600_000]) {
      const { entry, received } = await on.hookServer();
      const { rounds } = on.start({ ...ACT, cooldown_s: 0 }, entry);
      await on.raise();
      await rounds();
      on.time.nowMs += jumpMs;
      await rounds();
      expect(received).toEqual([]);
      on.pass(121);
      await rounds();
      expect(received).toHaveLength(1);
    }
  });

  it('what was due long ago, when nobody was here, is only proposed', async () => {
    const { entry, received } = await on.hookServer();
    const alert = await on.raise();
    await on.start(ACT, entry).rounds();
    on.pass(3000);
    await on.start(ACT, entry).rounds();
    expect([received, (await on.of(alert)).says]).toEqual([[], 'Rolling back to v1 is proposed: nobody was here to act when it was due']);
  });

  it('an alert that is resolved meanwhile is not acted on', async () => {
    const { entry, received } = await on.hookServer();
    const { rounds } = on.start(ACT, entry);
    const alert = await on.raise();
    await rounds();
    await on.resolve(alert, undefined);
    on.pass(121);
    await rounds();
    expect([received, (await on.of(alert)).states]).toEqual([[], ['waiting', 'withdrawn']]);
  });

  it('a target that vanished fails at once, and a person can have it tried again', async () => {
    let status = 404;
    const { entry, received } = await on.hookServer(() => ({ status }));
    const { rounds, desk } = on.start({ ...ACT, veto_s: 0 }, entry);
    const alert = await on.raise();
    await rounds();
    on.pass(600);
    await rounds();
    expect([received.length, (await on.of(alert)).says]).toEqual([1, expect.stringMatching(/^ops could not roll back to v1: POST .*: HTTP 404 \(what it names is not there any more\)$/)]);
    status = 200;
    await desk.decide(alert, { action: 'confirm', who: 'mira', reason: 'it is back' });
    await rounds();
    expect((await on.of(alert)).states).toEqual(['waiting', 'asked', 'failed', 'confirmed', 'asked', 'done']);
    // A receiver that does nothing twice would do nothing now.
    const [first] = keys(received);
    expect(keys(received)).toEqual([first, `${first}-2`]);
  });

  it('one that hangs, or is away, is asked three times with the same key, and stalls nobody else', async () => {
    const { entry, received } = await on.hookServer(() => (received.length === 2 ? { status: 503 } : null));
    const { rounds } = on.start({ ...ACT, veto_s: 0 }, entry);
    const alert = await on.raise();
    for (const wait of [0, 6, 31, 600]) {
      on.pass(wait);
      await rounds();
    }
    expect(new Set(keys(received)).size).toBe(1);
    expect([received.length, (await on.of(alert)).states]).toEqual([3, ['waiting', 'asked', 'retry', 'asked', 'retry', 'asked', 'failed']]);
    expect((await on.of(alert)).says).toContain('no answer in 0.4 s');
  });

  it('a private address is refused, once', async () => {
    const { entry, received } = await on.hookServer();
    const { rounds } = on.start({ ...ACT, veto_s: 0 }, entry, { isOpen: false });
    const alert = await on.raise();
    await rounds();
    expect([received, (await on.of(alert)).says]).toEqual([[], expect.stringContaining('refused: private address')]);
  });
});

describe('afterwards', () => {
  async function done() {
    const { entry } = await on.hookServer();
    const { rounds } = on.start({ ...ACT, veto_s: 0 }, { ...entry, settles_s: 600 });
    const alert = await on.raise();
    await rounds();
    return { alert, rounds };
  }

  it('a hook that answers 200 and does nothing is told', async () => {
    const { alert, rounds } = await done();
    on.pass(550);
    await on.call(alert, 'v2');
    on.pass(51);
    await rounds();
    expect((await on.told(alert)).at(-1)).toEqual(['rollback', 'ops answered (HTTP 200), and nothing moved: v2 still takes traffic, 1 call in the last 300 s']);
  });

  it.each([
    ['recovered', 'Rolled back to v1, and it helped: error_rate recovered'],
    ['not_recovered', 'Rolled back to v1, and it did not help: v2 is not the culprit, or not alone'],
    ['unknown', 'Rolled back to v1; whether it helped cannot be told: too little traffic since'],
    [undefined, 'Rolled back to v1; whether it helped cannot be told: the alert was resolved by a person before it could be tested'],
  ] as const)('once the metric was tested (%s) it says so on the alert', async (recovery, says) => {
    const { alert, rounds } = await done();
    await on.call(alert, 'v2');
    on.pass(601);
    await rounds();
    expect((await on.of(alert)).states.at(-1)).toBe('moved');
    await on.resolve(alert, recovery);
    await rounds();
    expect((await on.told(alert)).at(-1)).toEqual(['rollback', says]);
    await rounds();
    expect((await on.told(alert)).filter(([, reason]) => reason === says)).toHaveLength(1);
  });

  it('says that it did not help while the alert is still open', async () => {
    const { alert, rounds } = await done();
    await on.resolve(alert, 'not_recovered', 'open');
    await rounds();
    expect((await on.told(alert)).at(-1)).toEqual(['rollback', 'Rolled back to v1, and it did not help: v2 is not the culprit, or not alone']);
  });

  it('the look goes on with the alert as the owner left it, and what it resolves is then settled', async () => {
    const { alert, rounds } = await done();
    const rows = createLookRows(on.store);
    const comparison = `cmp_of_${alert.id}`;
    const look = createAlertRecord(rows, comparison, { alert, sequence: 1, transition_id: '', at_ms: on.time.nowMs });
    const newest = async () => [...(await loadAlertStates(on.store, [(await on.store.select<{ comparison_id: string }>('SELECT any(comparison_id) AS comparison_id FROM alert_transitions WHERE alert_id = {id:String}', { id: alert.id }))[0]?.comparison_id ?? ''])).values()][0];
    look.adopt(await newest());
    const adopted = look.current();
    expect(adopted).toMatchObject({ state: 'open', rollback: { hook: 'ops', state: 'done' } });
    if (adopted === null) throw new Error('no alert');
    look.change({ ...adopted, state: 'resolved', resolved_at: new Date(on.time.nowMs).toISOString(), recovery: 'recovered' }, { atMs: on.time.nowMs, reason: 'v2 takes no more traffic, and error_rate recovered' });
    await rows.flush();
    await rounds();
    expect((await on.told(alert)).slice(-2)).toEqual([['resolved', 'v2 takes no more traffic, and error_rate recovered'], ['rollback', 'Rolled back to v1, and it helped: error_rate recovered']]);
    look.adopt(await newest());
    expect(look.current()).toMatchObject({ state: 'resolved', recovery: 'recovered', rollback: { state: 'recovered' } });
  });
});
