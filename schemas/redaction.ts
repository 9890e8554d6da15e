import { RE2JS } from 're2js';

/**
 * What must not be stored of message content, as regular expressions of RE2 (re2js): it matches in time linear in the text,
 * whatever the pattern, where JavaScript's own can be made to run for hours by a text. Look-around and back references, which
 * nobody can match so, are refused. Source: github.com/google/re2/wiki/Syntax.
 */

/** What stands in the place of what matched. */
const REDACTED = '[redacted]';

export const MAX_PATTERNS = 20;
export const MAX_PATTERN_CHARACTERS = 500;

/** Texts in which a pattern that matches nothing at all would be found. */
const SAMPLES = ['', 'some text', '1 2'];

/** What is wrong with a pattern and how to correct it, or null. */
export function patternFault(pattern: string): string | null {
  let compiled: RE2JS;
  try {
    compiled = RE2JS.compile(pattern);
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^error parsing regexp: /, '') : 'unreadable';
    return `is no regular expression of RE2 (${reason.slice(0, 200)}); RE2 has neither look-around nor back references`;
  }
  for (const sample of SAMPLES) {
    const matcher = compiled.matcher(sample);
    while (matcher.find()) if (matcher.start() === matcher.end()) return 'matches where there is nothing, so it would be everywhere; make it match at least one character';
  }
  return null;
}

/** Throws where a pattern is faulty: the configuration has refused those. */
export function createRedaction(patterns: readonly string[]): (text: string) => string {
  const compiled = patterns.map((pattern) => RE2JS.compile(pattern));
  return (text) => compiled.reduce((rest, pattern) => pattern.matcher(rest).replaceAll(() => REDACTED), text);
}
