import { dependencies } from '../../deploy/commands/serve.ts';
import { ConfigFile } from '../../schemas/config.ts';
import { clockContract, randomContract } from '../contracts/clock.ts';

const { clock, random } = dependencies({ ...ConfigFile.parse({}), webhooks: [] });

clockContract('of this machine', () => ({ clock, passes: () => new Promise((resolve) => setTimeout(resolve, 5)) }));
randomContract('of this machine', () => random);
