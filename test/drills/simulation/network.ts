import { RetryableError } from '../../../schemas/errors.ts';
import type { Member, VirtualTime } from './virtual-time.ts';

/** Something that members ask over a network: it may be away, slow, or cut off from some of them. What it was asked before its asker died, it does all the same. */
export type Service = {
  readonly name: string;
  /** From the question to the service, and back. */
  latencyMs: number;
  isAway: boolean;
  /** Who does not reach it. */
  readonly cutFrom: Set<Member>;
};

export type Network = {
  ask<Answer>(service: Service, work: () => Answer | Promise<Answer>, refused: (why: string) => Error): Promise<Answer>;
};

/** @param jitter uniform in [0, 1). */
export function createNetwork(time: VirtualTime, jitter: () => number): Network {
  return {
    ask(service, work, refused) {
      const member = time.who();
      const way = (): number => Math.max(1, Math.round(service.latencyMs * (0.5 + jitter())));
      const isReached = (): boolean => !service.isAway && (member === null || !service.cutFrom.has(member));
      return new Promise((resolve, reject) => {
        const answer = (settle: () => void): void =>
          time.after(way(), member, () => (isReached() ? settle() : reject(refused(`${service.name} does not answer`))));
        time.after(way(), null, () => {
          if (!isReached()) return answer(() => reject(refused(`${service.name} is not reached`)));
          // A refusal is an answer as well.
          Promise.resolve()
            .then(work)
            .then(
              (given) => answer(() => resolve(given)),
              (error: unknown) => answer(() => reject(error instanceof Error ? error : new Error(String(error)))),
            );
        });
      });
    },
  };
}

export const unreachable = (why: string): Error => new RetryableError(why);
