import { AsyncLocalStorage } from 'node:async_hooks';

/**
 * Time that passes only when everybody waits. While it is installed, timers, Date.now and performance.now of the whole process are virtual, and each timer belongs to the
 * *member* (a simulated process) in whose code it was set: a member that was killed never hears its timers again, one that is frozen hears them when it goes on.
 * Everything a simulated process waits for has to be a timer, or follow from one.
 */
export type Member = { readonly name: string; state: 'alive' | 'dead'; frozenUntilMs: number; /** Of its wall clock. */ clockOffMs: number };

export type VirtualTime = {
  now(): number;
  /** Runs `work` as this member; null: as nobody who could fail. */
  as<Result>(member: Member | null, work: () => Result): Result;
  who(): Member | null;
  /** Calls back as this member, after so many ms. */
  after(delayMs: number, member: Member | null, work: () => void): void;
  /** Lets so much time pass. */
  pass(ms: number): Promise<void>;
  uninstall(): void;
};

type Timer = { readonly id: number; readonly order: number; atMs: number; readonly everyMs: number | null; readonly member: Member | null; readonly work: () => void };

export function installVirtualTime(startMs: number): VirtualTime {
  const real = { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate, now: Date.now, performanceNow: performance.now };
  const members = new AsyncLocalStorage<Member | null>();
  const heap = createHeap();
  const live = new Map<number, Timer>();
  let nowMs = startMs;
  let lastId = 0;

  const who = (): Member | null => members.getStore() ?? null;
  const add = (timer: Omit<Timer, 'id' | 'order'>): number => {
    const id = (lastId += 1);
    const added = { ...timer, id, order: id };
    live.set(id, added);
    heap.push(added);
    return id;
  };
  const handle = (id: number) => ({ id, ref: () => undefined, unref: () => undefined, hasRef: () => false, [Symbol.toPrimitive]: () => id });
  const clear = (given: unknown): void => void (typeof given === 'object' && given !== null && 'id' in given && live.delete(Number(given.id)));
  const fake = {
    setTimeout: (work: (...given: unknown[]) => void, delayMs = 0, ...given: unknown[]) => handle(add({ atMs: nowMs + Math.max(0, delayMs), everyMs: null, member: who(), work: () => work(...given) })),
    setInterval: (work: (...given: unknown[]) => void, everyMs = 1, ...given: unknown[]) => handle(add({ atMs: nowMs + Math.max(1, everyMs), everyMs: Math.max(1, everyMs), member: who(), work: () => work(...given) })),
    clearTimeout: clear,
    clearInterval: clear,
  };
  Object.assign(globalThis, fake);
  Date.now = () => Math.floor(nowMs) + (who()?.clockOffMs ?? 0);
  performance.now = () => nowMs - startMs;

  /** Promises that follow from what was run settle before the event loop comes round. */
  const settle = (): Promise<void> => new Promise((done) => void real.setImmediate(done));
  const fire = (timer: Timer): void => {
    const { member } = timer;
    if (member?.state === 'dead') return void live.delete(timer.id);
    if (member !== null && member.frozenUntilMs > nowMs) return heap.push(Object.assign(timer, { atMs: member.frozenUntilMs }));
    if (timer.everyMs === null) live.delete(timer.id);
    else heap.push(Object.assign(timer, { atMs: nowMs + timer.everyMs }));
    members.run(member, timer.work);
  };
  return {
    now: () => nowMs,
    as: (member, work) => members.run(member, work),
    who,
    after: (delayMs, member, work) => void add({ atMs: nowMs + delayMs, everyMs: null, member, work }),
    async pass(ms) {
      const endMs = nowMs + ms;
      await settle();
      for (let next = heap.peek(); next !== undefined && next.atMs <= endMs; next = heap.peek()) {
        nowMs = Math.max(nowMs, next.atMs);
        for (let due = heap.peek(); due !== undefined && due.atMs <= nowMs; due = heap.peek()) {
          heap.pop();
          if (live.has(due.id)) fire(due);
        }
        await settle();
      }
      nowMs = endMs;
    },
    uninstall() {
      const { now, performanceNow, setImmediate: _, ...timers } = real;
      Object.assign(globalThis, timers);
      Date.now = now;
      performance.now = performanceNow;
    },
  };
}

/** By time, then in the order in which they were set. */
function createHeap() {
  const items: Timer[] = [];
  const before = (one: Timer | undefined, other: Timer | undefined): boolean =>
    one !== undefined && other !== undefined && (one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order));
  const swap = (one: number, other: number): void => {
    const [first, second] = [items[one], items[other]];
    if (first === undefined || second === undefined) return;
    items[one] = second;
    items[other] = first;
  };
  return {
    peek: () => items[0],
    push(timer: Timer): void {
      items.push(timer);
      for (let at = items.length - 1; at > 0; ) {
        const parent = (at - 1) >> 1;
        if (!before(items[at], items[parent])) break;
        swap(at, parent);
        at = parent;
      }
    },
    pop(): void {
      swap(0, items.length - 1);
      items.pop();
      for (let at = 0; ; ) {
        const [left, right] = [2 * at + 1, 2 * at + 2];
        let least = at;
        if (before(items[left], items[least])) least = left;
        if (before(items[right], items[least])) least = right;
        if (least === at) break;
        swap(at, least);
        at = least;
      }
    },
  };
}
