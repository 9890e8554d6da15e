import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { createKafka } from '../../deploy/kafka/client.ts';
import { createKafkaLog } from '../../deploy/kafka/log.ts';
import { openSender } from '../../deploy/kafka/sender.ts';
import { prepareTopics } from '../../deploy/kafka/topics.ts';
import { openRecording } from '../../deploy/recording.ts';
import { KafkaSettings } from '../../schemas/kafka.ts';

/** Recorded traffic through a replay in one process, and through Kafka with the stamps that it had: what is raised must be the same, to the last bit. */
export type Told = { readonly id: string; readonly state: string; readonly onset: string; readonly metric: string; readonly evidence: { readonly e_value: number }; readonly culprit: { readonly value: string } };
export type Essence = ReturnType<typeof essence>;

const REPLAY_OUTPUT_BYTES = 64 * 1024 * 1024;

/** As they are raised: evidence grows on. An hour late, Culprit also says so of itself (`lag`). */
export const RAISED = "SELECT body FROM alert_transitions FINAL WHERE sequence = 1 AND comparison_id LIKE 'cmp_%' ORDER BY at_ms";

function essence({ id, state, onset, metric, evidence, culprit }: Told) {
  return { id, state, onset, metric, e_value: evidence.e_value, culprit: culprit.value };
}

export function essencesOf(lines: readonly string[]): Essence[] {
  return lines.map((line) => essence(JSON.parse(line) as Told)); // Alerts, by the contract of both.
}

export async function alertsOfReplay(binary: string, file: string): Promise<Essence[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [binary, 'replay', '--json', file], { maxBuffer: REPLAY_OUTPUT_BYTES });
  return essencesOf(stdout.trimEnd().split('\n').filter((line) => line !== ''));
}

export async function appendRecording(brokerAddress: string, file: string): Promise<void> {
  const settings = KafkaSettings.parse({ brokers: [brokerAddress], topics: { partitions: 4 } });
  const topics = await prepareTopics(createKafka(settings, () => undefined), settings);
  const sender = await openSender(settings, topics.maxMessageBytes);
  const log = createKafkaLog(sender, topics, { maxPendingBytes: 64 * 1024 * 1024, maxWaitMs: 20_000 });
  for await (const message of (await openRecording([file], 'default')).messages()) await log.append(message);
  await log.close();
  await sender.close();
}
