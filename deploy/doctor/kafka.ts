import type { Admin, Kafka } from 'kafkajs';
import type { Config } from '../../schemas/config.ts';
import { createKafka } from '../kafka/client.ts';
import { ok, saidBy, watch, wrong, type Finding } from './finding.ts';
import { parkedFinding } from './store.ts';

/** Kafka: every broker that the configuration names, the topics and their replicas, and how far the group of the analyzers is behind. */

const FAR_BEHIND = 10_000;
const SHOWN = 3;

type TopicState = { readonly name: string; readonly partitions: number };
type Bounds = { readonly topic: string; readonly partition: number; readonly low: bigint; readonly high: bigint };

export async function examineKafka({ kafka: settings }: Config): Promise<Finding[]> {
  const findings: Finding[] = [];
  let reached: string | null = null;
  for (const broker of settings.brokers) {
    const check = `Kafka broker ${broker}`;
    try {
      await withAdmin(clientOf({ ...settings, brokers: [broker] }), async (admin) => {
        const { brokers } = await admin.describeCluster();
        findings.push(ok(check, `answers; the cluster has ${brokers.length} ${brokers.length === 1 ? 'broker' : 'brokers'}`));
      });
      reached ??= broker;
    } catch (error) {
      findings.push(wrong(check, `does not answer: ${saidBy(error)}`, 'does it run, is its advertised listener one that this machine can reach, and are kafka.tls and kafka.sasl right?'));
    }
  }
  if (reached === null) return findings;
  try {
    await withAdmin(clientOf(settings), async (admin) => void findings.push(...(await topicFindings(admin, settings))));
  } catch (error) {
    findings.push(wrong('Kafka topics', `cannot be asked for: ${saidBy(error)}`, 'may this user describe topics and groups?'));
  }
  return findings;
}

function clientOf(settings: Config['kafka']): Kafka {
  return createKafka(settings, () => undefined);
}

async function withAdmin(kafka: Kafka, ask: (admin: Admin) => Promise<void>): Promise<void> {
  const admin = kafka.admin({ retry: { retries: 1, initialRetryTime: 100, maxRetryTime: 200 } });
  try {
    await admin.connect();
    await ask(admin);
  } finally {
    await admin.disconnect();
  }
}

async function topicFindings(admin: Admin, { topics, group }: Config['kafka']): Promise<Finding[]> {
  const present = new Set(await admin.listTopics());
  const wanted = [topics.spans, topics.logs, topics.parked, topics.duties];
  const missing = wanted.filter((topic) => !present.has(topic));
  const there = wanted.filter((topic) => present.has(topic));
  const findings = missing.map((topic) =>
    topics.create ? watch(`topic ${topic}`, 'is not there yet', 'nothing to do: the next start of a role makes it') : wrong(`topic ${topic}`, 'is not there, and kafka.topics.create is off', `create it${topic === topics.spans || topic === topics.logs ? `, ${topics.spans} and ${topics.logs} with equal numbers of partitions` : ''}`),
  );
  if (there.length === 0) return findings;
  const { topics: described } = await admin.fetchTopicMetadata({ topics: there });
  const states: TopicState[] = [];
  for (const { name, partitions } of described) {
    states.push({ name, partitions: partitions.length });
    const headless = partitions.filter(({ leader }) => leader < 0);
    const short = partitions.filter(({ isr, replicas }) => isr.length < replicas.length);
    const replicas = Math.min(...partitions.map((partition) => partition.replicas.length));
    const found = `${partitions.length} partitions, ${replicas} ${replicas === 1 ? 'replica' : 'replicas'}`;
    if (headless.length > 0) findings.push(wrong(`topic ${name}`, `${headless.length} of ${partitions.length} partitions have no leader`, 'start the brokers that have them'));
    else if (short.length > 0) findings.push(watch(`topic ${name}`, `${found}; ${short.length} partitions lack a replica that is in sync`, 'is a broker down, or behind?'));
    else findings.push(ok(`topic ${name}`, found));
  }
  const [spans, logs] = [topics.spans, topics.logs].map((name) => states.find((state) => state.name === name));
  if (spans === undefined || logs === undefined) return findings;
  if (spans.partitions !== logs.partitions) findings.push(wrong('partitions', `${spans.name} has ${spans.partitions} and ${logs.name} has ${logs.partitions}`, 'give both the same number: spans and scores of a trace must meet in one partition'));
  return [...findings, ...(await groupFindings(admin, { group, topics: [spans.name, logs.name] })), ...(present.has(topics.parked) ? [await parkedIn(admin, topics.parked)] : [])];
}

async function boundsOf(admin: Admin, topic: string): Promise<Bounds[]> {
  return (await admin.fetchTopicOffsets(topic)).map(({ partition, low, high }) => ({ topic, partition, low: BigInt(low), high: BigInt(high) }));
}

async function groupFindings(admin: Admin, { group, topics }: { readonly group: string; readonly topics: readonly string[] }): Promise<Finding[]> {
  const { groups } = await admin.describeGroups([group]);
  const { members = [], state = 'unknown' } = groups[0] ?? {};
  const findings = [members.length > 0 ? ok(`group ${group}`, `${members.length} ${members.length === 1 ? 'analyzer' : 'analyzers'}, ${state}`) : wrong(`group ${group}`, 'has no members: nobody reads what collectors write', 'start culprit analyzer')];
  const committed = new Map((await admin.fetchOffsets({ groupId: group, topics: [...topics] })).flatMap(({ topic, partitions }) => partitions.map(({ partition, offset }) => [`${topic}/${partition}`, BigInt(offset)] as const)));
  const bounds = (await Promise.all(topics.map((topic) => boundsOf(admin, topic)))).flat();
  const lags = bounds
    .map(({ topic, partition, low, high }) => {
      const offset = committed.get(`${topic}/${partition}`) ?? -1n;
      return { place: `${topic}/${partition}`, lag: Number(high - (offset < 0n ? low : offset)), isGone: offset >= 0n && offset < low };
    })
    .sort((one, other) => other.lag - one.lag);
  const gone = lags.filter(({ isGone }) => isGone);
  if (gone.length > 0) findings.push(wrong('retention', `messages of ${gone.slice(0, SHOWN).map(({ place }) => place).join(', ')} were deleted before they were read`, 'lengthen retention.ms of the topics, and add analyzers'));
  const total = lags.reduce((sum, { lag }) => sum + lag, 0);
  const found = total === 0 ? 'everything is stored' : `${total} messages are not stored yet; furthest behind: ${lags.slice(0, SHOWN).map(({ place, lag }) => `${place} (${lag})`).join(', ')}`;
  findings.push(total > FAR_BEHIND ? watch('lag', found, 'docs/RUNBOOK.md#culpritconsumerlag') : ok('lag', found));
  return findings;
}

async function parkedIn(admin: Admin, topic: string): Promise<Finding> {
  const messages = (await boundsOf(admin, topic)).reduce((sum, { low, high }) => sum + Number(high - low), 0);
  return messages === 0 ? ok(`topic ${topic}`, 'holds no message') : { ...parkedFinding(`topic ${topic}`, messages), fix: 'each says why in its header culprit-reason; docs/RUNBOOK.md#culpritparked' };
}
