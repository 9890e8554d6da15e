import fc from 'fast-check';
import kafkajs from 'kafkajs';
import { expect, it } from 'vitest';
import { murmur2 } from '../../deploy/kafka/murmur2.ts';

it('puts a key where the partitioner of another client puts it', () => {
  const partitioner = kafkajs.Partitioners.DefaultPartitioner();
  const partitionMetadata = Array.from({ length: 97 }, (_, partitionId) => ({ partitionErrorCode: 0, partitionId, leader: 0, replicas: [], isr: [] }));
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 40 }), fc.uint8Array({ minLength: 16, maxLength: 16 }).map((id) => Buffer.from(id).toString('hex'))), (key) => {
      expect(murmur2(key) % 97).toBe(partitioner({ topic: '', partitionMetadata, message: { key, value: null } }));
    }),
    { seed: 20_260_631, numRuns: 5_000 },
  );
});
