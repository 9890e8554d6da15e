import { describe, expect, it } from 'vitest';
import { PlanAnswer } from '../../schemas/plan.ts';
import { culprit } from '../built.ts';

/** The command `plan` as a user runs it. */
const plan = (...args: readonly string[]) => culprit(['plan', ...args]);

describe('plan', { timeout: 60_000 }, () => {
  it('answers from flags alone, with a table of shares', async () => {
    const { code, stdout, stderr } = await plan('--metric', 'error_rate', '--baseline', '0.01', '--worse', '0.05', '--calls-per-hour', '600', '--share', '0.1', '--runs', '60');
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^error_rate from 0\.01 to 0\.06, 600 units an hour, 10 % to the candidate, alpha 0\.01$/m);
    expect(stdout).toMatch(/found after [\d.]+ h in half of all rollouts \(\d+ units of the candidate\), after [\d.]+ h in nine of ten, [\d.]+ h on average/);
    expect(stdout.match(/^ +\d+ % .* \d+ %/gm)).toHaveLength(5);
  });

  it('answers as JSON, takes alpha and judge sampling', async () => {
    const { stdout } = await plan('--metric=quality', '--baseline=0.86', '--drop=0.05', '--calls-per-hour=2000', '--score-sampling=0.2', '--alpha=0.05', '--runs=40', '--json');
    expect(PlanAnswer.parse(JSON.parse(stdout))).toMatchObject({ metric: 'quality', kind: 'score', alpha: 0.05, units_per_hour: [400], baseline: 0.86 });
  });

  it.each([
    [['--metric', 'error_rate', '--worse', '0.05'], /--baseline is missing; give a number/],
    [['--metric', 'error_rate', '--baseline', '0.01', '--calls-per-hour', '600'], /say by how much it gets worse, once/],
    [['--metric', 'error_rate', '--baseline', 'x', '--worse', '0.1', '--calls-per-hour', '600'], /--baseline is x; give a number from 0 to 1/],
    [['--metric', 'error_rate', '--baseline', '0.5', '--worse', '0.6', '--calls-per-hour', '600'], /leads to a rate of 1\.1/],
    [['--metric', 'output_tokens', '--baseline', '100', '--times', '2', '--calls-per-hour', '600'], /shown and not bet on/],
    [['--prompt', 'p', '--metric', 'error_rate', '--worse', '0.1', '--server', 'http://127.0.0.1:1'], /no server answers at http:\/\/127\.0\.0\.1:1/],
  ])('refuses %j, and says what to do', async (args, says) => {
    const { code, stderr } = await plan(...args);
    expect(code).toBe(1);
    expect(stderr).toMatch(says);
  });
});
