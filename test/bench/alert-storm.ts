import { hook, openDelivering } from '../api/delivering.ts';
import { alertAt } from '../api/sinks/alert.ts';

/**
 * 10,000 alerts at once, at a webhook and at Slack: how long until each alive one has been told of all of them, and
 * that none is lost or told twice. `node --import tsx test/bench/alert-storm.ts [alerts]`
 */
const alerts = Number(process.argv[2] ?? 10_000);
const here = await openDelivering();
const plain = await here.receiver();
const slack = await here.receiver((response) => response.writeHead(200).end('ok'));
const rows = Array.from({ length: alerts }, (_, index) => {
  const id = `alr_${String(index).padStart(6, '0')}`;
  return { transition_id: `${id}-1`, alert_id: id, sequence: 1, project: 'default', comparison_id: '', state: 'open', reason: '', at_ms: here.time.nowMs, body: JSON.stringify({ ...alertAt(id, 'open', here.time.nowMs), summary: `storm ${id} .` }) };
});
await here.store.insert('alert_transitions', rows);
const startedMs = performance.now();
const delivery = here.deliverTo({ webhooks: [hook('plain', plain.url)], sinks: [{ kind: 'slack', name: 'slack', url: slack.url, per_minute: 6000, events: ['alert.open'], timeout_s: 5 }] });
let most = 0;
const sampling = setInterval(() => (most = Math.max(most, process.memoryUsage().rss)), 100);
await delivery.settled();
clearInterval(sampling);
const seconds = (performance.now() - startedMs) / 1000;
const ids = plain.received.map(({ headers }) => String(headers['webhook-id']));
const named = slack.received.flatMap(({ body }) => [...body.matchAll(/storm (alr_\d+) \./g)].map(([, id]) => id));
console.log(JSON.stringify({ alerts, seconds: Number(seconds.toFixed(1)), webhook: { requests: ids.length, alerts: new Set(ids).size }, slack: { requests: slack.received.length, alerts: new Set(named).size, named: named.length }, rss_mb: Math.round(most / 1e6) }));
await here.clear();
await here.close();
