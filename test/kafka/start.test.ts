import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createKafka } from '../../deploy/kafka/client.ts';
import { prepareTopics } from '../../deploy/kafka/topics.ts';
import { PermanentError } from '../../schemas/errors.ts';
import { KafkaSettings } from '../../schemas/kafka.ts';
import { runToEnd } from '../deploy/server-process.ts';
import { startBroker, whyNoBroker, type Broker } from './broker.ts';

/** What a role says when it cannot start. */

describe('a role that cannot start says what to do, and ends', { timeout: 60_000 }, () => {
  it.each([
    [['collector'], /kafka\.brokers is empty.*HOST:PORT/],
    [['collector', '--kafka-brokers', '127.0.0.1:1'], /asking the Kafka brokers 127\.0\.0\.1:1 .*are kafka\.brokers, kafka\.tls and kafka\.sasl right/],
    [['analyzer', '--kafka-brokers', '127.0.0.1:1'], /clickhouse\.url is missing.*http:\/\/clickhouse:8123/],
    [['api', '--kafka-brokers', '127.0.0.1:1', '--clickhouse-url', 'http://127.0.0.1:1'], /ClickHouse at http:\/\/127\.0\.0\.1:1 cannot be asked .* are clickhouse\.url/],
    [['collector', '--kafka-brokers', '127.0.0.1:1', '--kafka-sasl-mechanism', 'plain'], /kafka\.sasl\.mechanism is plain, which needs kafka\.sasl\.username/],
    [['collector', '--kafka-brokers', '127.0.0.1:1', '--kafka-tls-enabled', '--kafka-tls-ca-file', '/nowhere.pem'], /kafka\.tls\.ca_file cannot be read.*name a file/],
  ])('%s', async (args, said) => {
    const ended = await runToEnd(args);
    expect(ended.output).toMatch(said);
    expect(ended.code).toBe(1);
  });
});

describe('a broker that asks who is there', { timeout: 60_000 }, () => {
  const missing = whyNoBroker();
  let broker: Broker;
  let directory: string;
  beforeAll(async () => {
    if (missing !== null) return;
    directory = await mkdtemp(join(tmpdir(), 'culprit-sasl-'));
    broker = await startBroker({
      'listener.security.protocol.map': 'PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT',
      'sasl.enabled.mechanisms': 'PLAIN',
      'sasl.mechanism.inter.broker.protocol': 'PLAIN',
      'listener.name.plaintext.plain.sasl.jaas.config': 'org.apache.kafka.common.security.plain.PlainLoginModule required username="broker" password="of-the-broker" user_broker="of-the-broker" user_culprit="of-culprit";',
    });
  }, 120_000);
  afterAll(async () => {
    await broker?.remove();
    if (missing === null) await rm(directory, { recursive: true, force: true });
  });
  beforeEach((context) => {
    if (missing !== null) context.skip(missing);
  });

  const settingsWith = (password_file: string) => KafkaSettings.parse({ brokers: [broker.address], sasl: { mechanism: 'plain', username: 'culprit', password_file }, topics: { partitions: 5 } });

  it('lets us in with the password of a file, and the topics are made as configured', async () => {
    const file = join(directory, 'right');
    await writeFile(file, 'of-culprit\n');
    const settings = settingsWith(file);
    expect(await prepareTopics(createKafka(settings, () => undefined), settings)).toMatchObject({ spans: 'otlp_spans', shards: 5 });
    // A second role finds them.
    expect(await prepareTopics(createKafka(settings, () => undefined), settings)).toMatchObject({ shards: 5 });
  });

  it('does not with another, and says so', async () => {
    const file = join(directory, 'wrong');
    await writeFile(file, 'of-nobody\n');
    const settings = settingsWith(file);
    const refused = prepareTopics(createKafka(settings, () => undefined), settings);
    await expect(refused).rejects.toBeInstanceOf(PermanentError);
    await expect(refused).rejects.toThrow(/kafka\.sasl right/);
  });

  it('has topics that do not fit each other: refused, with what to do', async () => {
    const file = join(directory, 'right');
    const settings = settingsWith(file);
    const kafka = createKafka(settings, () => undefined);
    const admin = kafka.admin();
    await admin.connect();
    await admin.createTopics({ waitForLeaders: true, topics: [{ topic: 'narrow_logs', numPartitions: 2 }] });
    await admin.disconnect();
    await expect(prepareTopics(kafka, { ...settings, topics: { ...settings.topics, logs: 'narrow_logs' } })).rejects.toThrow('otlp_spans has 5 partitions and narrow_logs has 2');
    await expect(prepareTopics(kafka, { ...settings, topics: { ...settings.topics, parked: 'not_there', create: false } })).rejects.toThrow('the topics not_there are not there');
  });
});
