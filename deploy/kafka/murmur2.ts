/**
 * The hash by which Kafka's own clients choose a partition for a key: MurmurHash2, 32 bits, with their seed, over the key's bytes.
 *
 * Source: org.apache.kafka.common.utils.Utils.murmur2. The clients for Node have it too, in arithmetic of 64 bits or of BigInt, at 20
 * times the cost; a collector needs it for each span. Answers the unsigned number, with its sign bit cleared, as the partitioner does.
 *
 * @param key in ASCII.
 */
export function murmur2(key: string): number {
  const { length } = key;
  let hash = SEED ^ length;
  let index = 0;
  for (; index + 4 <= length; index += 4) {
    let block = key.charCodeAt(index) | (key.charCodeAt(index + 1) << 8) | (key.charCodeAt(index + 2) << 16) | (key.charCodeAt(index + 3) << 24);
    block = Math.imul(block, MULTIPLIER);
    block ^= block >>> 24;
    hash = Math.imul(hash, MULTIPLIER) ^ Math.imul(block, MULTIPLIER);
  }
  const rest = length - index;
  if (rest > 0) {
    for (let at = rest - 1; at >= 0; at -= 1) hash ^= key.charCodeAt(index + at) << (8 * at);
    hash = Math.imul(hash, MULTIPLIER);
  }
  hash ^= hash >>> 13;
  hash = Math.imul(hash, MULTIPLIER);
  hash ^= hash >>> 15;
  return hash & 0x7fff_ffff;
}

const SEED = 0x9747b28c;
const MULTIPLIER = 0x5bd1e995;
