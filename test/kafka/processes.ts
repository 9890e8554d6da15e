import { afterAll, beforeAll, beforeEach } from 'vitest';
import { BINARY } from '../built.ts';
import { startFront, type Front } from '../clickhouse/front.ts';
import { openRig, startResidents, type Rig } from '../drills/rig.ts';
import { whyNoBroker, withBroker, type Broker } from './broker.ts';
import { createRoles, type Roles } from './roles.ts';

type Cluster = { readonly broker: Broker; readonly front: Front; readonly roles: Roles };

/** One broker, a store and roles over them for all tests of a file, as withBroker has it; `begin` starts the roles that all tests need. They end before what they run on. */
export function withRoles(begin: (cluster: Cluster) => Promise<void> | void, flags: readonly string[] = []): void {
  let broker: Broker | null = null;
  let front: Front | null = null;
  let roles: Roles | null = null;
  withBroker((started) => (broker = started));
  beforeAll(async () => {
    if (broker === null) return;
    front = await startFront();
    roles = createRoles(BINARY, { broker: broker.address, store: front.url }, flags);
    await begin({ broker, front, roles });
  }, 180_000);
  afterAll(async () => {
    await roles?.end();
    await front?.remove();
  });
}

/** The same with links between all of them, and clocks that can be set (drills/rig.ts). */
export function withRig(given: (rig: Rig) => void, missing = whyNoBroker()): void {
  let rig: Rig | null = null;
  beforeAll(async () => {
    if (missing !== null) return;
    rig = await openRig({ binary: BINARY });
    await startResidents(rig);
    given(rig);
  }, 180_000);
  afterAll(() => rig?.end());
  beforeEach((context) => {
    if (missing !== null) context.skip(missing);
  });
}
