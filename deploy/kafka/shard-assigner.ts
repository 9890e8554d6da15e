import kafkajs, { type Assignment, type PartitionAssigner } from 'kafkajs';

/**
 * Gives each analyzer whole shards: partitions of one number, of all topics. The client's own assigner deals partitions out one by one, and would
 * part spans from the scores that name them.
 *
 * Each member says which shards it had, so that as few as can be change hands: a shard that moves is taken up anew from the store.
 */
const NAME = 'CulpritShards';
const VERSION = 1;

/** @param ownedNow the shards that this process has, told to whoever deals. */
export function createShardAssigner(ownedNow: () => readonly number[]): PartitionAssigner {
  return ({ cluster }) => ({
    name: NAME,
    version: VERSION,
    async assign({ members, topics }) {
      const shards = Math.max(0, ...topics.map((topic) => cluster.findTopicPartitionMetadata(topic).length));
      const owned = new Map(members.map(({ memberId, memberMetadata }) => [memberId, ownedOf(memberMetadata)]));
      return [...dealShards(shards, owned)].map(([memberId, dealt]) => {
        const assignment: Assignment = {};
        for (const topic of topics) {
          const partitions = cluster.findTopicPartitionMetadata(topic).length;
          assignment[topic] = dealt.filter((shard) => shard < partitions);
        }
        return { memberId, memberAssignment: kafkajs.AssignerProtocol.MemberAssignment.encode({ version: VERSION, assignment, userData: Buffer.alloc(0) }) };
      });
    },
    protocol: ({ topics }) => ({
      name: NAME,
      metadata: kafkajs.AssignerProtocol.MemberMetadata.encode({ version: VERSION, topics, userData: Buffer.from(ownedNow().join(',')) }),
    }),
  });
}

function ownedOf(metadata: Buffer): number[] {
  const text = kafkajs.AssignerProtocol.MemberMetadata.decode(metadata)?.userData.toString() ?? '';
  return text === '' ? [] : text.split(',').map(Number).filter(Number.isSafeInteger);
}

/** Pure: as even as can be, and every shard stays where it was unless that member has too many. */
export function dealShards(shards: number, owned: ReadonlyMap<string, readonly number[]>): Map<string, number[]> {
  const members = [...owned.keys()].sort();
  const dealt = new Map<string, number[]>(members.map((member) => [member, []]));
  if (members.length === 0) return dealt;
  const most = Math.ceil(shards / members.length);
  let withMost = shards % members.length === 0 ? members.length : shards % members.length;
  const taken = new Set<number>();
  for (const member of members) {
    const hand = dealt.get(member) ?? [];
    for (const shard of owned.get(member) ?? []) {
      const room = hand.length < most - 1 || (hand.length < most && withMost > 0);
      if (!room || shard < 0 || shard >= shards || taken.has(shard)) continue;
      hand.push(shard);
      taken.add(shard);
      if (hand.length === most) withMost -= 1;
    }
  }
  for (let shard = 0; shard < shards; shard += 1) {
    if (taken.has(shard)) continue;
    const [hand] = [...dealt.values()].sort((one, other) => one.length - other.length);
    hand?.push(shard);
  }
  for (const hand of dealt.values()) hand.sort((one, other) => one - other);
  return dealt;
}
