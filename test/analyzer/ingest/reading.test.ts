import { expect, it } from 'vitest';
import { decode } from '../../../collector/otlp/decode.ts';
import { readMessage } from '../../../analyzer/ingest/reading.ts';
import { createNormaliserFor } from '../../../deploy/normaliser.ts';
import { ConfigFile } from '../../../schemas/config.ts';
import { inference, logs, judgement, TAGS, traces } from './ingesting.ts';

const by = { decode, normaliser: createNormaliserFor({ ...ConfigFile.parse({}), webhooks: [], sinks: [], registries: [] }) };

it('a message that is written again is read again, and says the same', () => {
  const reading = readMessage(traces([inference(1, TAGS), inference(2)]), by);
  const first = reading.take();
  expect(first.calls.map(({ call }) => call.span_id)).toEqual(['0000000000000001', '0000000000000002']);
  const again = reading.take();
  expect(again).toEqual(first);
  expect(again.calls[0]?.call).not.toBe(first.calls[0]?.call);
  expect(reading.received).toBe(2);
});

it('tells how many records there are without giving them away', () => {
  const reading = readMessage(logs([judgement(1, 0.5)]), by);
  expect(reading.received).toBe(1);
  expect(reading.take().scores.map(({ value }) => value)).toEqual([0.5]);
});
