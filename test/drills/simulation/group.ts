import { createRequire } from 'node:module';
import type { VirtualTime } from './virtual-time.ts';

/**
 * A consumer group as the coordinator of a Kafka broker keeps it (KIP-62: members, generations, sessions, the time that a rebalance waits for those that have not
 * joined again), for the real client above it. Throws the protocol's errors.
 */
type Joined = { readonly generationId: number; readonly leaderId: string; readonly memberId: string; readonly groupProtocol: string; readonly members: readonly { readonly memberId: string; readonly memberMetadata: Buffer }[] };
export type JoinRequest = { readonly memberId: string; readonly sessionTimeout: number; readonly rebalanceTimeout: number; readonly groupProtocols: readonly { readonly name: string; readonly metadata: Buffer }[] };
export type SyncRequest = { readonly memberId: string; readonly generationId: number; readonly groupAssignment: readonly { readonly memberId: string; readonly memberAssignment: Buffer }[] };
export type CommitRequest = { readonly memberId: string; readonly groupGenerationId: number; readonly topics: readonly { readonly topic: string; readonly partitions: readonly { readonly partition: number; readonly offset: string }[] }[] };

export type Group = {
  join(request: JoinRequest): Promise<Joined>;
  sync(request: SyncRequest): Promise<{ readonly memberAssignment: Buffer }>;
  heartbeat(request: { readonly memberId: string; readonly groupGenerationId: number }): void;
  leave(request: { readonly memberId: string }): void;
  commit(request: CommitRequest): void;
  /** -1 where nothing was committed. */
  committed(topic: string, partition: number): string;
  /** How many there are whose session has not run out. */
  members(): number;
  /** How many rebalances came to their end. */
  generations(): number;
  /** The broker was away: nobody's session ran meanwhile. */
  cameBack(): void;
};

const require = createRequire(import.meta.url);
const { KafkaJSProtocolError } = require('kafkajs/src/errors') as { KafkaJSProtocolError: new (error: Error) => Error }; // The client tells its own errors by their class; it does not type this path.
const { errorCodes } = require('kafkajs/src/protocol/error') as { errorCodes: readonly { type: string; code: number; message: string; retriable: boolean }[] };

const MEMBER_CHECK_MS = 100;

function refuse(type: string): never {
  const found = errorCodes.find((each) => each.type === type);
  throw new KafkaJSProtocolError(Object.assign(new Error(found?.message), { ...found }));
}

type GroupMember = {
  readonly id: string;
  sessionMs: number;
  rebalanceMs: number;
  metadata: Buffer;
  protocol: string;
  heardMs: number;
  joining: ((answer: Joined) => void) | null;
  syncing: { readonly done: (answer: { memberAssignment: Buffer }) => void; readonly failed: (error: unknown) => void } | null;
};

/** @param onAssigned hears of each assignment, by member. */
export function createGroup(time: VirtualTime, nextId: () => string, onAssigned: (assigned: ReadonlyMap<string, Buffer>) => void): Group {
  const members = new Map<string, GroupMember>();
  const offsets = new Map<string, string>();
  let state: 'empty' | 'joining' | 'syncing' | 'stable' = 'empty';
  let generation = 0;
  let leader = '';
  let rebalances = 0;
  let assigned = new Map<string, Buffer>();

  const known = (id: string): GroupMember => members.get(id) ?? refuse('UNKNOWN_MEMBER_ID');
  const ofGeneration = (id: string, given: number): GroupMember => {
    const member = known(id);
    if (given !== generation) refuse('ILLEGAL_GENERATION');
    member.heardMs = time.now();
    return member;
  };
  const begin = (): void => {
    if (state === 'joining') return;
    state = 'joining';
    const ordinal = (rebalances += 1);
    for (const member of members.values()) {
      // Who waits for its share hears that there is none.
      const { syncing } = member;
      member.syncing = null;
      if (syncing !== null) rejectWith(syncing.failed, 'REBALANCE_IN_PROGRESS');
    }
    const longestMs = Math.max(0, ...[...members.values()].map(({ rebalanceMs }) => rebalanceMs));
    time.after(longestMs, null, () => {
      if (state === 'joining' && rebalances === ordinal) complete();
    });
  };
  const completeIfAllJoined = (): void => {
    if (state === 'joining' && members.size > 0 && [...members.values()].every(({ joining }) => joining !== null)) complete();
  };
  const complete = (): void => {
    for (const [id, { joining }] of members) if (joining === null) members.delete(id);
    generation += 1;
    if (members.size === 0) return void (state = 'empty');
    state = 'syncing';
    if (!members.has(leader)) leader = [...members.keys()][0] ?? '';
    const all = [...members.values()].map(({ id, metadata }) => ({ memberId: id, memberMetadata: metadata }));
    for (const member of members.values()) {
      member.heardMs = time.now();
      member.joining?.({ generationId: generation, leaderId: leader, memberId: member.id, groupProtocol: member.protocol, members: member.id === leader ? all : [] });
      member.joining = null;
    }
  };
  const remove = (id: string): void => {
    if (!members.delete(id)) return;
    if (members.size === 0) return void (state = 'empty');
    if (state === 'joining') completeIfAllJoined();
    else begin();
  };
  const expire = (): void => {
    // Who waits for the others to join is there.
    for (const { id, heardMs, sessionMs, joining } of members.values()) if (joining === null && time.now() - heardMs > sessionMs) remove(id);
    time.after(MEMBER_CHECK_MS, null, expire);
  };
  time.after(MEMBER_CHECK_MS, null, expire);

  return {
    join({ memberId, sessionTimeout, rebalanceTimeout, groupProtocols }) {
      const [protocol] = groupProtocols;
      if (memberId !== '') known(memberId);
      const id = memberId === '' ? nextId() : memberId;
      const member: GroupMember = members.get(id) ?? { id, sessionMs: 0, rebalanceMs: 0, metadata: Buffer.alloc(0), protocol: '', heardMs: 0, joining: null, syncing: null };
      members.set(id, member);
      Object.assign(member, { sessionMs: sessionTimeout, rebalanceMs: rebalanceTimeout, metadata: protocol?.metadata, protocol: protocol?.name, heardMs: time.now() });
      const joined = new Promise<Joined>((resolve) => (member.joining = resolve));
      begin();
      completeIfAllJoined();
      return joined;
    },
    sync({ memberId, generationId, groupAssignment }) {
      const member = ofGeneration(memberId, generationId);
      if (state === 'joining') refuse('REBALANCE_IN_PROGRESS');
      if (state === 'stable') return Promise.resolve({ memberAssignment: assigned.get(memberId) ?? Buffer.alloc(0) });
      const synced = new Promise<{ memberAssignment: Buffer }>((done, failed) => (member.syncing = { done, failed }));
      if (memberId === leader) {
        assigned = new Map(groupAssignment.map((each) => [each.memberId, each.memberAssignment]));
        state = 'stable';
        onAssigned(assigned);
      }
      if (state === 'stable') {
        for (const waiting of members.values()) {
          waiting.syncing?.done({ memberAssignment: assigned.get(waiting.id) ?? Buffer.alloc(0) });
          waiting.syncing = null;
        }
      }
      return synced;
    },
    heartbeat({ memberId, groupGenerationId }) {
      ofGeneration(memberId, groupGenerationId);
      if (state === 'joining') refuse('REBALANCE_IN_PROGRESS');
    },
    leave: ({ memberId }) => remove(memberId),
    commit({ memberId, groupGenerationId, topics }) {
      ofGeneration(memberId, groupGenerationId);
      if (state === 'syncing') refuse('REBALANCE_IN_PROGRESS');
      for (const { topic, partitions } of topics) for (const { partition, offset } of partitions) offsets.set(`${topic}/${partition}`, offset);
    },
    committed: (topic, partition) => offsets.get(`${topic}/${partition}`) ?? '-1',
    members: () => members.size,
    generations: () => generation,
    cameBack() {
      for (const member of members.values()) member.heardMs = time.now();
    },
  };
}

function rejectWith(failed: (error: unknown) => void, type: string): void {
  try {
    refuse(type);
  } catch (error) {
    failed(error);
  }
}
