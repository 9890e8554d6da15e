import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from 'selfsigned';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createKafka } from '../../deploy/kafka/client.ts';
import { openSender } from '../../deploy/kafka/sender.ts';
import { prepareTopics } from '../../deploy/kafka/topics.ts';
import { PermanentError } from '../../schemas/errors.ts';
import { KafkaSettings } from '../../schemas/kafka.ts';

import { culprit } from '../built.ts';
import { freePort } from '../ports.ts';
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
    [['collector', '--kafka-brokers', '127.0.0.1:1', '--host', '0.0.0.0'], /there is no API key yet: name a file that holds one \(CULPRIT_ACCESS_KEY_FILE\)/],
  ])('%s', async (args, said) => {
    const ended = await culprit(args);
    expect(ended.output).toMatch(said);
    expect(ended.code).toBe(1);
  });
});

describe('a broker that asks who is there', { timeout: 60_000 }, () => {
  const missing = whyNoBroker();
  let broker: Broker;
  let securePort: number;
  let directory: string;
  const inDirectory = (name: string): string => join(directory, name);
  beforeAll(async () => {
    if (missing !== null) return;
    directory = await mkdtemp(join(tmpdir(), 'culprit-sasl-'));
    const ours = await generate([{ name: 'commonName', value: 'the authority' }], { algorithm: 'sha256', clientCertificate: { cn: 'culprit', algorithm: 'sha256' }, extensions: [{ name: 'basicConstraints', cA: true }] });
    const theirs = await generate([{ name: 'commonName', value: 'broker' }], { algorithm: 'sha256', ca: { key: ours.private, cert: ours.cert }, extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }] });
    await writeFile(inDirectory('ca.pem'), ours.cert);
    await writeFile(inDirectory('broker.pem'), theirs.private + theirs.cert);
    await writeFile(inDirectory('client.pem'), ours.clientcert ?? '');
    await writeFile(inDirectory('client-key.pem'), ours.clientprivate ?? '');
    await writeFile(inDirectory('right'), 'of-culprit\n');
    await writeFile(inDirectory('wrong'), 'of-nobody\n');
    securePort = await freePort();
    broker = await startBroker(
      {
        'listener.security.protocol.map': 'PLAINTEXT:SASL_PLAINTEXT,SECURE:SASL_SSL,CONTROLLER:PLAINTEXT',
        'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-512',
        'sasl.mechanism.inter.broker.protocol': 'PLAIN',
        'listener.name.plaintext.sasl.enabled.mechanisms': 'PLAIN',
        'listener.name.plaintext.plain.sasl.jaas.config': 'org.apache.kafka.common.security.plain.PlainLoginModule required username="broker" password="of-the-broker" user_broker="of-the-broker" user_culprit="of-culprit";',
        'listener.name.secure.sasl.enabled.mechanisms': 'SCRAM-SHA-512',
        'listener.name.secure.scram-sha-512.sasl.jaas.config': 'org.apache.kafka.common.security.scram.ScramLoginModule required;',
        'ssl.keystore.type': 'PEM',
        'ssl.keystore.location': inDirectory('broker.pem'),
        'ssl.truststore.type': 'PEM',
        'ssl.truststore.location': inDirectory('ca.pem'),
        'listener.name.secure.ssl.client.auth': 'required',
      },
      { scram: { culprit: 'of-culprit' }, secure: securePort },
    );
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
    const settings = settingsWith(inDirectory('right'));
    expect(await prepareTopics(createKafka(settings, () => undefined), settings)).toMatchObject({ spans: 'otlp_spans', shards: 5 });
    // A second role finds them.
    expect(await prepareTopics(createKafka(settings, () => undefined), settings)).toMatchObject({ shards: 5 });
  });

  it('does not with another, and says so', async () => {
    const settings = settingsWith(inDirectory('wrong'));
    const refused = prepareTopics(createKafka(settings, () => undefined), settings);
    await expect(refused).rejects.toBeInstanceOf(PermanentError);
    await expect(refused).rejects.toThrow(/kafka\.sasl right/);
  });

  describe('over TLS, with a certificate of ours and SCRAM', () => {
    const secureWith = (changed: { readonly tls?: object; readonly password?: string } = {}) =>
      KafkaSettings.parse({
        brokers: [`127.0.0.1:${securePort}`],
        tls: { enabled: true, ca_file: inDirectory('ca.pem'), cert_file: inDirectory('client.pem'), key_file: inDirectory('client-key.pem'), ...changed.tls },
        sasl: { mechanism: 'scram-sha-512', username: 'culprit', password_file: inDirectory(changed.password ?? 'right') },
        topics: { spans: 'secure_spans', logs: 'secure_logs', parked: 'secure_parked', duties: 'secure_duties', partitions: 1 },
      });

    it('is written to and read by both clients', async () => {
      const settings = secureWith();
      const kafka = createKafka(settings, () => undefined);
      const topics = await prepareTopics(kafka, settings);
      const sender = await openSender(settings, topics.maxMessageBytes);
      const consumer = kafka.consumer({ groupId: 'secure' });
      try {
        await sender.send(topics.spans, [{ partition: 0, value: Buffer.from('a span'), headers: {}, timestampMs: Date.now() }]);
        await consumer.connect();
        await consumer.subscribe({ topic: topics.spans, fromBeginning: true });
        const read = await new Promise<string>((resolve, reject) => {
          consumer.run({ eachMessage: async ({ message }) => resolve(String(message.value)) }).catch(reject);
        });
        expect(read).toBe('a span');
      } finally {
        await consumer.disconnect();
        await sender.close();
      }
    });

    it.concurrent.each([
      ['another password', () => ({ password: 'wrong' })],
      ['no certificate of ours', () => ({ tls: { cert_file: undefined, key_file: undefined } })],
      ['a certificate of theirs that nobody vouches for', () => ({ tls: { ca_file: undefined } })],
    ])('is refused with %s, by both clients', async (_name, changed) => {
      const settings = secureWith(changed());
      await Promise.all([
        expect(prepareTopics(createKafka(settings, () => undefined), settings)).rejects.toThrow(/are kafka\.brokers, kafka\.tls and kafka\.sasl right/),
        expect(openSender(settings, 1_000_000)).rejects.toThrow(/connecting to Kafka failed/),
      ]);
    });
  });

  it('has topics that do not fit each other: refused, with what to do', async () => {
    const settings = settingsWith(inDirectory('right'));
    const kafka = createKafka(settings, () => undefined);
    const admin = kafka.admin();
    await admin.connect();
    await admin.createTopics({ waitForLeaders: true, topics: [{ topic: 'narrow_logs', numPartitions: 2 }] });
    await admin.disconnect();
    await expect(prepareTopics(kafka, { ...settings, topics: { ...settings.topics, logs: 'narrow_logs' } })).rejects.toThrow('otlp_spans has 5 partitions and narrow_logs has 2');
    await expect(prepareTopics(kafka, { ...settings, topics: { ...settings.topics, parked: 'not_there', create: false } })).rejects.toThrow('the topics not_there are not there');
  });
});
