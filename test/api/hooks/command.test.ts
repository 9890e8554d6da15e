import { expect, it } from 'vitest';
import { PermanentError, RetryableError } from '../../../schemas/errors.ts';
import { alertAt, HOSTILE, NOW_MS } from '../sinks/alert.ts';
import { orderAt, rollBack } from './vendor.ts';

/** Real processes. */
const node = (script: string, ...more: string[]) => ({ kind: 'command', name: 'script', command: [process.execPath, '-e', script, ...more], timeout_s: 20 });

it('has the alert in its environment and nothing of ours, and hostile names as they are', async () => {
  const alert = { ...alertAt('alr_1', 'open', NOW_MS), summary: '$(touch /tmp/culprit-was-here) `id` "; rm -rf x' };
  const { answer } = await rollBack(node('console.log(JSON.stringify(process.env))'), orderAt({ alert }));
  const environment = JSON.parse(answer.slice('exit code 0: '.length)) as Record<string, string>;
  expect(environment).toMatchObject({ CULPRIT_ROLLBACK_ID: 'rbk_1', CULPRIT_ALERT_ID: 'alr_1', CULPRIT_PROMPT: 'refund-agent', CULPRIT_CANDIDATE: '8', CULPRIT_BASELINE: '7', CULPRIT_SUMMARY: alert.summary, CULPRIT_BY: 'mira' });
  expect(Object.keys(environment).filter((name) => !name.startsWith('CULPRIT_'))).toEqual(['PATH']);
  await rollBack(node('process.exit(process.env.CULPRIT_PROMPT.includes("onmouseover") ? 0 : 3)'), orderAt({ prompt: HOSTILE, candidate: HOSTILE, baseline: HOSTILE }));
});

it('runs without a shell', async () => {
  const { answer } = await rollBack(node('console.log(process.argv[1])', '$HOME; echo injected'));
  expect(answer).toBe('exit code 0: $HOME; echo injected');
});

it('fails for good by its exit code, or for now', async () => {
  const failed = rollBack(node('console.error("no such label"); process.exit(2)'));
  await expect(failed).rejects.toThrow(PermanentError);
  await expect(failed).rejects.toThrow('exit code 2: no such label');
  await expect(rollBack(node('process.exit(75)'))).rejects.toThrow(RetryableError);
});

it('is killed with its children when it takes too long, and its output is bounded', async () => {
  const began = performance.now();
  await expect(rollBack({ ...node('require("node:child_process").spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "inherit" }); setInterval(() => {}, 1000)'), timeout_s: 2 })).rejects.toThrow('did not end within 2 s and was killed');
  expect(performance.now() - began).toBeLessThan(15_000);
  const { answer } = await rollBack(node('process.stdout.write("x".repeat(5_000_000))'));
  expect(answer.length).toBeLessThan(1100);
});

it('a program that is not there is tried again', async () => {
  await expect(rollBack({ kind: 'command', name: 'script', command: ['/nowhere/to/be/found'] })).rejects.toThrow('/nowhere/to/be/found cannot be started (ENOENT)');
});
