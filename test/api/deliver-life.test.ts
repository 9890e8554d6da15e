import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createVersionEvents } from '../../api/version-events.ts';
import type { SinkSettings } from '../../schemas/sinks.ts';
import { TOLD_BY_DEFAULT } from '../../schemas/webhook.ts';
import { hook, openDelivering } from './delivering.ts';
import type { Received } from './sinks/receiver.ts';

/** Routes, silences, escalation, throttling, and what is said again. */

const MINUTE = 60_000;
let here: Awaited<ReturnType<typeof openDelivering>>;
beforeAll(async () => {
  here = await openDelivering();
});
afterEach(() => here.clear());
afterAll(() => here.close());

const told = (received: readonly Received[]): string[] => received.map(({ headers }) => String(headers['webhook-id']));
const slack = (name: string, url: string, per_minute: number): SinkSettings => ({ kind: 'slack', name, url, per_minute, events: ['alert.open', 'alert.acknowledged', 'alert.resolved'], timeout_s: 5 });

describe('routes', () => {
  it('take the first that fits, go on where they say so, and send what fits none everywhere', async () => {
    const [payments, pages, rest] = [await here.receiver(), await here.receiver(), await here.receiver()];
    here.deliverTo({
      webhooks: [hook('payments', payments.url), hook('pages', pages.url), hook('rest', rest.url)],
      routes: [
        { match: ['severity=page'], sinks: ['pages'], continue: true },
        { match: ['prompt=refund-*', 'environment!=staging'], sinks: ['payments'] },
        { match: ['environment=staging'], sinks: ['rest'] },
      ],
    });
    await here.raise('page');
    await here.raise('ticket', { change: { severity: 'ticket' } });
    await here.raise('staging', { change: { severity: 'ticket', environment: 'staging' } });
    await here.raise('unrouted', { change: { severity: 'ticket', prompt: 'other' } });
    expect(told(pages.received)).toEqual(['page-1', 'unrouted-1']);
    expect(told(payments.received)).toEqual(['page-1', 'ticket-1', 'unrouted-1']);
    expect(told(rest.received)).toEqual(['staging-1', 'unrouted-1']);
    expect(await here.journal('rest')).toContainEqual(['page-1', 'withheld', 'no route leads here']);
    // Whoever was not told that it began is not told that it ended.
    await here.raise('page', { sequence: 2, state: 'resolved' });
    expect(told(pages.received).at(-1)).toBe('page-2');
    expect(told(rest.received)).not.toContain('page-2');
  });
});

describe('what is told', () => {
  it('says who wrote the culprit, as it is known when it is told', async () => {
    const { url, received } = await here.receiver();
    here.deliverTo({ webhooks: [hook('on-call', url)] });
    const facts = { author: 'mira', owner: '@shop/payments', commit: '4f2a91c7d05e', diff_url: 'https://git.example/shop/compare/v1...v2' };
    await createVersionEvents(here.store).append('default', [{ prompt: 'refund-agent', version: 'v2', at_ms: here.time.nowMs, kind: 'registered', source: 'git', actor: 'mira', label: null, facts }], 'undated');
    await here.raise('a');
    expect(JSON.parse(received[0]?.body ?? '{}')).toMatchObject({ data: { culprit: { value: 'v2', ...facts } } });
  });
});

describe('updates', () => {
  it('go to whom they are of use, and to nobody as another page', async () => {
    const [with_, without] = [await here.receiver(), await here.receiver()];
    here.deliverTo({ webhooks: [hook('with', with_.url, { events: ['alert.open', 'alert.updated'] }), hook('without', without.url)] });
    await here.raise('a');
    await here.raise('a', { sequence: 2, event: 'updated' });
    expect(with_.received.map(({ body }) => JSON.parse(body).type)).toEqual(['alert.open', 'alert.updated']);
    expect(told(without.received)).toEqual(['a-1']);
  });

  it('of a rollback go to everybody who did not ask for less: a veto has its time', async () => {
    const people = await here.receiver();
    here.deliverTo({ webhooks: [hook('people', people.url, { events: TOLD_BY_DEFAULT })] });
    await here.raise('a');
    await here.raise('a', { sequence: 2, event: 'updated', reason: 'the evidence grew' });
    await here.raise('a', { sequence: 3, event: 'rollback', reason: 'Rolls back to v1 at 09:02:00 UTC, unless somebody vetoes' });
    expect(people.received.map(({ body }) => JSON.parse(body).type)).toEqual(['alert.open', 'alert.rollback']);
  });
});

describe('silences', () => {
  const silence = (matchers: string[], minutes: number) => here.silences.add('default', { matchers, starts_ms: here.time.nowMs, ends_ms: here.time.nowMs + minutes * MINUTE, who: 'mira', reason: 'load test' });

  it('hold back what matches, and tell what is still open when they end, as it is then', async () => {
    const { url, received } = await here.receiver();
    here.deliverTo({ webhooks: [hook('ops', url)] });
    const { id } = await silence(['prompt=refund-agent'], 30);
    await here.raise('still-open');
    await here.raise('over');
    await here.raise('other', { change: { prompt: 'support' } });
    await here.raise('over', { sequence: 2, state: 'resolved' });
    expect(told(received)).toEqual(['other-1']);
    expect(await here.journal('ops')).toContainEqual(['still-open-1', 'postponed', `silenced by ${id}`]);
    await here.raise('still-open', { sequence: 2, event: 'updated', change: { summary: 'as it is now' } });
    await here.pass(29 * MINUTE);
    expect(told(received)).toEqual(['other-1']);
    await here.pass(2 * MINUTE);
    expect(told(received)).toEqual(['other-1', 'still-open-1']);
    expect(JSON.parse(received.at(-1)?.body ?? '').data.summary).toBe('as it is now');
    expect(await here.journal('ops')).toContainEqual(['over-1', 'withheld', 'resolved before it was to be told']);
    expect(await here.journal('ops')).toContainEqual(['over-2', 'withheld', 'it was not told of the alert']);
  });

  it('end early by a person, survive a restart, and are of one project', async () => {
    const { url, received } = await here.receiver();
    const first = here.deliverTo({ webhooks: [hook('ops', url)] });
    const { id } = await silence(['metric=~error_.*'], 90 * 24 * 60);
    await here.silences.add('another', { matchers: ['alert=~.*'], starts_ms: here.time.nowMs, ends_ms: here.time.nowMs + MINUTE, who: 'x', reason: 'x' });
    await here.raise('a');
    await here.raise('latency', { change: { metric: 'latency' } });
    await first.close();
    here.deliverTo({ webhooks: [hook('ops', url)] });
    await here.pass(8 * 24 * 60 * MINUTE);
    expect(told(received)).toEqual(['latency-1']);
    expect(await here.silences.end('another', id, { who: 'mallory', reason: 'x' })).toBeNull();
    expect(await here.silences.end('default', id, { who: 'mira', reason: 'done' })).toMatchObject({ state: 'ended', who: 'mira', reason: 'done' });
    await here.pass(0);
    expect(told(received)).toEqual(['latency-1', 'a-1']);
  });

  it('hold nothing back that ended after they were read, and before what they hold was written down', async () => {
    const { url, received } = await here.receiver();
    const { id } = await silence(['prompt=refund-agent'], 30);
    here.deliverTo({
      webhooks: [hook('ops', url)],
      silences: async (nowMs) => {
        const active = await here.silences.active(nowMs);
        await here.silences.end('default', id, { who: 'mira', reason: 'over' });
        return active;
      },
    });
    await here.raise('a');
    expect(told(received)).toEqual(['a-1']);
  });

  it('still tell those who know of an alert that it is over', async () => {
    const { url, received } = await here.receiver();
    here.deliverTo({ webhooks: [hook('ops', url)] });
    await here.raise('a');
    await silence(['alert=a'], 60);
    await here.raise('a', { sequence: 2, state: 'acknowledged' });
    await here.raise('a', { sequence: 3, state: 'resolved' });
    expect(told(received)).toEqual(['a-1', 'a-2', 'a-3']);
  });
});

describe('escalation', () => {
  const routes = [{ sinks: ['team'], escalate: [{ after_s: 900, sinks: ['boss'] }, { after_s: 3600, sinks: ['all'] }] }];

  it('tells others when nobody acknowledges, step by step, and all of them how it ended', async () => {
    const [team, boss, all] = [await here.receiver(), await here.receiver(), await here.receiver()];
    here.deliverTo({ webhooks: [hook('team', team.url), hook('boss', boss.url), hook('all', all.url)], routes });
    await here.raise('a');
    await here.pass(14 * MINUTE);
    expect([told(team.received), told(boss.received)]).toEqual([['a-1'], []]);
    await here.pass(2 * MINUTE);
    expect(told(boss.received)).toEqual(['a-1']);
    await here.raise('a', { sequence: 2, state: 'acknowledged', who: 'mira' });
    await here.pass(24 * 60 * MINUTE);
    expect([told(team.received), told(boss.received), told(all.received)]).toEqual([['a-1', 'a-2'], ['a-1', 'a-2'], []]);
    expect(await here.journal('all')).toEqual([['a-1', 'withheld', 'acknowledged before it was to be told'], ['a-2', 'withheld', 'it was not told of the alert']]);
  });

  it('waits on through a restart', async () => {
    const [team, boss] = [await here.receiver(), await here.receiver()];
    const settings = { webhooks: [hook('team', team.url), hook('boss', boss.url), hook('all', team.url)], routes };
    const first = here.deliverTo(settings);
    await here.raise('a');
    await first.close();
    here.time.nowMs += 20 * MINUTE;
    here.deliverTo(settings);
    await here.pass(0);
    expect(told(boss.received)).toEqual(['a-1']);
  });

  it('is not begun by an alert that is silenced, until the silence ends', async () => {
    const [team, boss] = [await here.receiver(), await here.receiver()];
    here.deliverTo({ webhooks: [hook('team', team.url), hook('boss', boss.url), hook('all', team.url)], routes: [{ sinks: ['team'], escalate: [{ after_s: 600, sinks: ['boss'] }] }] });
    await here.silences.add('default', { matchers: ['alert=a'], starts_ms: here.time.nowMs, ends_ms: here.time.nowMs + 60 * MINUTE, who: '', reason: '' });
    await here.raise('a');
    await here.pass(59 * MINUTE);
    expect(boss.received).toEqual([]);
    await here.pass(2 * MINUTE);
    expect([told(team.received), told(boss.received)]).toEqual([['a-1'], ['a-1']]);
  });
});

describe('throttling', () => {
  it('sends the first at once, and puts together what waits, by group', async () => {
    const { url, received } = await here.receiver((response) => response.writeHead(200).end('ok'));
    here.deliverTo({ sinks: [slack('team', url, 2)], routes: [{ sinks: ['team'], group_by: ['environment'] }] });
    for (let index = 0; index < 30; index += 1) await here.raise(`a${index}`, { change: { summary: `alert ${index}.`, environment: index % 2 === 0 ? 'production' : 'staging' } });
    expect(received).toHaveLength(2);
    await here.pass(MINUTE);
    expect(received).toHaveLength(4);
    const bodies = received.map(({ body }) => body);
    for (let index = 0; index < 30; index += 1) expect(bodies.filter((body) => body.includes(`alert ${index}.`))).toHaveLength(1);
    expect(bodies.slice(2).map((body) => JSON.parse(body).text)).toEqual(['14 alerts', '14 alerts']);
    expect((await here.journal('team')).every(([, outcome]) => outcome === 'delivered')).toBe(true);
  });

  it('tries again together what failed together, with none lost', async () => {
    const { url, received } = await here.receiver((response, count) => response.writeHead(count < 4 ? 503 : 200).end());
    here.deliverTo({ sinks: [slack('team', url, 60)] });
    for (let index = 0; index < 5; index += 1) await here.raise(`a${index}`);
    await here.pass(10 * MINUTE);
    expect((await here.journal('team')).map(([id, outcome]) => [id, outcome])).toEqual([0, 1, 2, 3, 4].map((index) => [`a${index}-1`, 'delivered']));
    expect(received.length).toBeLessThan(11);
  });
});

describe('what is said again', () => {
  it('is all that is open, until it is resolved or silenced, also after a restart', async () => {
    const { url, received } = await here.receiver((response) => response.writeHead(200).end());
    const settings = { sinks: [{ kind: 'alertmanager' as const, name: 'am', url: new URL(url).origin, refresh_s: 60, per_minute: 600, timeout_s: 5 }] };
    const first = here.deliverTo(settings);
    const last = (): { labels: { alert: string }; endsAt: string }[] => JSON.parse(received.at(-1)?.body ?? '[]');
    await here.raise('a');
    await here.raise('b');
    await here.pass(61_000);
    expect(last().map(({ labels, endsAt }) => [labels.alert, Date.parse(endsAt) > here.time.nowMs + 2 * MINUTE])).toEqual([['a', true], ['b', true]]);
    await here.raise('a', { sequence: 2, state: 'resolved', change: { resolved_at: new Date(here.time.nowMs).toISOString() } });
    expect(last().map(({ labels, endsAt }) => [labels.alert, Date.parse(endsAt) <= here.time.nowMs])).toEqual([['a', true]]);
    await first.close();
    here.deliverTo(settings);
    await here.pass(1000);
    expect(last().map(({ labels }) => labels.alert)).toEqual(['b']);
    const count = received.length;
    await here.pass(10 * MINUTE);
    expect(received.length - count).toBe(10);
    await here.silences.add('default', { matchers: ['alert=b'], starts_ms: here.time.nowMs, ends_ms: here.time.nowMs + 60 * MINUTE, who: '', reason: '' });
    await here.pass(10 * MINUTE);
    expect(received.length - count).toBe(10);
  });
});

describe('a clock that jumps', () => {
  it('back an hour delays no retry', async () => {
    const { url, received } = await here.receiver((response, count) => response.writeHead(count === 1 ? 500 : 204).end());
    here.deliverTo({ webhooks: [hook('ops', url)] });
    await here.raise('a');
    here.time.nowMs -= 60 * MINUTE;
    await here.pass(6000);
    expect(told(received)).toEqual(['a-1', 'a-1']);
    // What happens after the jump seems older than the sink itself, and is told all the same.
    await here.raise('b');
    expect(told(received).at(-1)).toBe('b-1');
  });

  it('forward a day loses nothing', async () => {
    const { url, received } = await here.receiver((response, count) => response.writeHead(count === 1 ? 500 : 204).end());
    here.deliverTo({ webhooks: [hook('ops', url)] });
    await here.raise('a');
    here.time.nowMs += 24 * 60 * MINUTE;
    await here.raise('b');
    await here.pass(6000);
    expect(told(received).toSorted()).toEqual(['a-1', 'a-1', 'b-1']);
  });
});
