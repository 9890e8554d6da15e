import { dependencies } from '../../deploy/lifecycle.ts';
import { ConfigFile } from '../../schemas/config.ts';
import { clockContract, randomContract } from '../contracts/clock.ts';

const { clock, random } = (await dependencies('culprit', { ...ConfigFile.parse({}), webhooks: [], sinks: [], registries: [] }, {})).deps;

clockContract('of this machine', () => ({
  clock,
  passes: () => {
    const before = performance.now();
    while (performance.now() - before < 3);
  },
}));
randomContract('of this machine', () => random);
