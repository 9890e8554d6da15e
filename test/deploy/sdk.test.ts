import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createServers, ledgerOf } from './server-process.ts';

const servers = createServers();
afterEach(() => servers.end());

type Shown = {
  calls: { trace_id: string; span_id: string; prompt_name: string; prompt_version: string; prompt_attribution: string; session_id: string; input_tokens: number; service_name: string }[];
  scores: { name: string; value: number; trace_id: string; span_id: string }[];
  versions: { version: string; calls: number; metrics: { metric: string }[] }[];
};

describe('an application with the OpenTelemetry SDK', () => {
  it('sees its calls, scores and versions within seconds', { timeout: 60_000 }, async () => {
    const server = await servers.start(await servers.directory());
    const application = spawn(process.execPath, ['--import', 'tsx', fileURLToPath(new URL('./send-with-sdk.ts', import.meta.url)), server.url], { stdio: ['ignore', 'inherit', 'inherit'] });
    expect(await once(application, 'exit')).toEqual([0, null]);

    const get = async <Part extends keyof Shown>(path: string): Promise<Pick<Shown, Part>> => (await (await fetch(`${server.url}${path}`)).json()) as Pick<Shown, Part>;
    const { calls } = await vi.waitFor(
      async () => {
        const found = await get<'calls'>('/v1/calls?prompt_name=refund%20agent');
        expect(found.calls).toHaveLength(4);
        return found;
      },
      { timeout: 5_000, interval: 50 },
    );
    for (const call of calls) expect(call).toMatchObject({ prompt_attribution: 'inherited', input_tokens: 640, service_name: 'shop' });
    expect(calls.map(({ prompt_version, session_id }) => `${prompt_version} ${session_id}`).toSorted()).toEqual(['v1 session-0', 'v1 session-1', 'v2 session-2', 'v2 session-3']);

    for (const call of calls) {
      const { scores } = await get<'scores'>(`/v1/scores?trace_id=${call.trace_id}`);
      expect(scores).toMatchObject([{ name: 'refund_accuracy', value: Number(call.session_id.at(-1)) / 4, span_id: call.span_id }]);
    }
    const { versions } = await get<'versions'>('/v1/prompts/refund%20agent');
    expect(versions.map(({ version, calls: count }) => ({ version, calls: count })).toSorted((one, other) => one.version.localeCompare(other.version))).toEqual([{ version: 'v1', calls: 2 }, { version: 'v2', calls: 2 }]);
    expect(await ledgerOf(server.url)).toMatchObject({ received: 12, stored: 8, ignored: 4, waiting: 0, balanced: true });
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  });
});
