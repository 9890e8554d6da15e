import { z } from 'zod';

/** The ClickHouse server or cluster of the roles analyzer and api. */
export const ClickHouseSettings = z.strictObject({
  url: z.url({ protocol: /^https?$/, error: 'is not an http(s) URL; write it in full, like http://clickhouse:8123' }).optional().describe('ClickHouse server, for the roles analyzer and api: its HTTP address.'),
  database: z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,63}$/, 'is not a plain name').default('default').describe('Database of the tables. It has to be there.'),
  username: z.string().min(1).default('default').describe('User of ClickHouse.'),
  password: z.string().default('').describe('Password of that user. A file is better: a flag is seen by everybody on the machine.'),
  password_file: z.string().optional().describe('File that holds the password.'),
  ca_file: z.string().optional().describe("Certificates that sign the server's (PEM). Default: those that Node.js brings, and NODE_EXTRA_CA_CERTS."),
  cert_file: z.string().optional().describe('Client certificate (PEM).'),
  key_file: z.string().optional().describe('Key of the client certificate (PEM).'),
  cluster: z.string().optional().describe('Name of the cluster: tables are made ON CLUSTER with replicated engines. Default: one server.'),
  async_inserts: z.boolean().default(true).describe('Whether the server gathers inserts of all analyzers into larger parts before it answers.'),
});
export type ClickHouseSettings = z.output<typeof ClickHouseSettings>;
