import { launch, started, type Program } from '../program.ts';

/** Roles of Culprit as processes of their own. */
export type Role = 'collector' | 'analyzer' | 'api';
export type RoleProcess = Program & { readonly url: string };
export type Roles = ReturnType<typeof createRoles>;

/** Where a role finds what it runs on; `nodeFlags` and `environment` are of its process. */
export type Surroundings = { readonly broker: string; readonly store: string; readonly nodeFlags?: readonly string[]; readonly environment?: Readonly<Record<string, string>> };

/** @param binary deploy/bin.cjs, of the sources or of a build. */
export function createRoles(binary: string, usual: Surroundings, flags: readonly string[] = []) {
  const programs: Program[] = [];
  return {
    async start(role: Role, more: readonly string[] = [], given: Partial<Surroundings> = {}): Promise<RoleProcess> {
      const { broker, store, nodeFlags = [], environment = {} } = { ...usual, ...given };
      const args = [...nodeFlags, binary, role, ...(more.includes('--port') ? [] : ['--port', '0']), '--kafka-brokers', broker, '--kafka-topics-partitions', '4', '--clickhouse-url', store, ...flags, ...more];
      const program = launch(args, { env: { ...process.env, ...environment } });
      programs.push(program);
      return { ...program, url: await started(program) };
    },
    async end(): Promise<void> {
      await Promise.all(programs.splice(0).map(({ end }) => end('SIGKILL')));
    },
  };
}
