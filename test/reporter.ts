import type { Reporter } from 'vitest/node';

/**
 * Prints why each skipped test was skipped, which test passed only when it was run again and what it had failed on, and as the
 * last line of all: `N passed, N failed` (`, N skipped`).
 *
 * A file that does not load, a hook that throws outside a test and an unhandled rejection each count as one failure:
 * "0 failed" beside a red exit code would be a lie. The line is written when the process exits, since Vitest itself still
 * prints (a worker that would not close, say) after its last reporter hook.
 */
export function createSummaryReporter(): Reporter {
  let passed = 0;
  let failed = 0;
  let skipped: string[] = [];
  let flaky: string[] = [];
  return {
    onInit() {
      process.once('exit', () => {
        const counts = [`${passed} passed`, `${failed} failed`, ...(skipped.length === 0 ? [] : [`${skipped.length} skipped`])];
        process.stdout.write(`${[...skipped, ...flaky, counts.join(', ')].join('\n')}\n`);
        // A run in which nothing ran proves nothing.
        if (failed > 0 || passed === 0) process.exitCode ||= 1;
      });
    },
    onTestRunEnd(modules, unhandledErrors) {
      passed = 0;
      failed = unhandledErrors.length;
      skipped = [];
      flaky = [];
      for (const module of modules) {
        failed += module.errors().length;
        for (const suite of module.children.allSuites()) failed += suite.errors().length;
        for (const test of module.children.allTests()) {
          const result = test.result();
          switch (result.state) {
            case 'passed':
              passed += 1;
              if (test.diagnostic()?.flaky === true) flaky.push(`flaky: ${module.relativeModuleId} > ${test.fullName}: ${result.errors?.map(({ message }) => message).join('; ') ?? 'NO REASON GIVEN'}`);
              break;
            case 'failed':
            // Its process died before it ran.
            case 'pending':
              failed += 1;
              break;
            case 'skipped':
              skipped.push(`skipped: ${module.relativeModuleId} > ${test.fullName}: ${result.note ?? 'NO REASON GIVEN'}`);
              break;
          }
        }
      }
    },
  };
}
