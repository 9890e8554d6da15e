import { spawn } from 'node:child_process';
import type { HookMeans } from '../api/hooks/index.ts';
import { RetryableError } from '../schemas/errors.ts';

/** Output of a program that is kept; the rest is read away, so that it does not block. */
const KEPT_CHARACTERS = 1000;

/** Runs a program of the configuration: without a shell, in a group of its own that is killed whole when the time is over. */
export const runProgram: HookMeans['run'] = ([program = '', ...programArguments], { environment, timeoutMs }) =>
  new Promise((resolve, reject) => {
    const child = spawn(program, programArguments, { shell: false, detached: true, stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env['PATH'] ?? '', ...environment } });
    let output = '';
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It ended by itself at this very moment.
      }
    }, timeoutMs);
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(0, KEPT_CHARACTERS)));
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(new RetryableError(`${program} cannot be started (${'code' in error ? String(error.code) : 'unknown'})`));
    });
    child.on('close', (exitCode) => {
      clearTimeout(timer);
      if (isLate) reject(new RetryableError(`${program} did not end within ${timeoutMs / 1000} s and was killed`));
      else resolve({ exitCode: exitCode ?? 1, output: output.replaceAll(/\p{Cc}+/gu, ' ').trim() });
    });
  });
