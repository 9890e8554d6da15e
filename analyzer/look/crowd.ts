import { hashOf } from './unit-memory.ts';

export type Crowd = { readonly isCrowd: (session: string) => boolean; readonly count: (session: string | null) => void };

/** A session with more than this share of the last 1,000 calls is no session. */
export const CROWD_CALLS = 1_000;
const CROWD_SHARE = 0.05;

/** Sessions are counted by the last ten bits of their hash first; only where that is a crowd one by one. */
const BUCKETS = 1_024;

/**
 * Sessions among the last 1,000 calls: an id that stands on more than 5 % of them is a constant, not a session. A session is told by 32 bits of its
 * hash: another is counted with it once in four million.
 */
export function createCrowd(): Crowd {
  const recent = new Uint32Array(CROWD_CALLS);
  const inBucket = new Uint16Array(BUCKETS);
  let calls = 0;
  const most = CROWD_CALLS * CROWD_SHARE;
  const add = (hash: number, calls: 1 | -1): void => void (inBucket[hash % BUCKETS] = (inBucket[hash % BUCKETS] ?? 0) + calls);
  return {
    isCrowd(session) {
      if (calls < CROWD_CALLS) return false;
      const [hash] = hashOf(session);
      return (inBucket[hash % BUCKETS] ?? 0) > most && recent.reduce((its, each) => (each === hash ? its + 1 : its), 0) > most;
    },
    count(session) {
      const place = calls % CROWD_CALLS;
      if (calls >= CROWD_CALLS) add(recent[place] ?? 0, -1);
      const hash = session === null ? 0 : hashOf(session)[0];
      recent[place] = hash;
      add(hash, 1);
      calls += 1;
    },
  };
}

/** Those among the sessions of the last 1,000 calls that are none. */
export function crowdAmong(sessions: readonly (string | null)[]): string[] {
  const crowd = createCrowd();
  for (const session of sessions) crowd.count(session);
  return [...new Set(sessions)].filter((session) => session !== null).filter(crowd.isCrowd);
}
