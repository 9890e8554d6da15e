import { UNREADABLE } from '../../analyzer/dialects/structured.ts';
import { CALL_FIELDS } from '../../analyzer/inspection/facts.ts';
import type { Finding, Judged } from '../../analyzer/inspection/inspection.ts';
import type { Sources } from '../../analyzer/inspection/provenance.ts';

/** Findings as a person reads them: one block for a call, a line for anything else. */

export type Ink = {
  strong(text: string): string;
  faint(text: string): string;
  warning(text: string): string;
  /** What came from the wire, made fit for a line: control characters escaped, cut where it is wide. */
  plain(text: string, maxCharacters?: number): string;
};

/** Colour only on a terminal, and not where NO_COLOR is set (no-color.org). */
export function createInk({ isTerminal, environment }: { readonly isTerminal: boolean; readonly environment: Readonly<Record<string, string | undefined>> }): Ink {
  const hasColour = isTerminal && !environment['NO_COLOR'] && environment['TERM'] !== 'dumb';
  const paint = (code: number) => (text: string) => (hasColour && text !== '' ? `\u001b[${code}m${text}\u001b[0m` : text);
  return { strong: paint(1), faint: paint(2), warning: paint(33), plain: printable };
}

/** Control and format characters (also those that turn the direction of text around), and half surrogate pairs. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu;
const MAX_VALUE_CHARACTERS = 48;

function printable(text: string, maxCharacters = MAX_VALUE_CHARACTERS): string {
  // The cut may leave half of a surrogate pair behind, which is then escaped like any other.
  const cut = text.length > maxCharacters ? `${text.slice(0, maxCharacters - 1)}…` : text;
  return cut.replace(UNPRINTABLE, (character) => {
    const code = character.codePointAt(0) ?? 0;
    const short = { 9: '\\t', 10: '\\n', 13: '\\r' }[code];
    return short ?? (code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`);
  });
}

const KIND_WIDTH = 8;
const MARGIN = ' '.repeat(KIND_WIDTH + 2);
const MAX_SOURCES_NAMED = 3;
const MAX_SOURCE_CHARACTERS = 90;

export function blockOf(finding: Finding, ink: Ink): string {
  switch (finding.kind) {
    case 'call':
      return callBlock(finding, ink);
    case 'ignored':
      return ignoredLine(finding, ink);
    case 'score':
      return scoreLine(finding, ink);
  }
}

function head(kind: string, text: string, finding: Finding, ink: Ink): string {
  const id = finding.trace_id === null ? '' : finding.span_id === null ? finding.trace_id : `${finding.trace_id}/${finding.span_id}`;
  return `${ink.strong(kind.padEnd(KIND_WIDTH))}  ${text}  ${ink.faint(id)}\n`;
}

function callBlock(finding: Finding & { kind: 'call' }, ink: Ink): string {
  const { call, inherited, scope_name } = finding;
  const sources = finding.sources();
  const values = new Map<string, string | number | boolean>(CALL_FIELDS.flatMap((field) => (isShown(field, call[field]) ? [[field, call[field] ?? '']] : [])));
  for (const [key, value] of Object.entries(call.stratum_attributes)) values.set(`stratum_attributes.${key}`, value);

  const rows = [...values].map(([field, value]) => ({ field: ink.plain(field), value: ink.plain(shown(value)), from: sourceText(field, finding, sources.get(field) ?? [], inherited.get(field), ink) }));
  const fieldWidth = Math.max(...rows.map(({ field }) => field.length));
  const valueWidth = Math.max(...rows.map(({ value }) => value.length));
  const lines = rows.map(({ field, value, from }) => `${MARGIN}${field.padEnd(fieldWidth)}  ${value.padEnd(valueWidth)}  ${ink.faint(from)}`.trimEnd());
  const said = problemsOf(finding).map((problem) => `${MARGIN}${ink.warning(`! ${problem}`)}`);
  const flags = flagLines(call.flags, sources, ink);
  const title = `${ink.plain(finding.span_name, 60)}  ${ink.faint(`read as ${call.dialect}, scope ${ink.plain(scope_name) || '(none)'}`)}`;
  return head('call', title, finding, ink) + [...lines, ...flags, ...said].map((line) => `${line}\n`).join('');
}

/** What a person who wonders why a version does not show up needs to be told of this call. */
export function problemsOf({ call, misses_ancestor, stands_for_inferences }: Finding & { kind: 'call' }): string[] {
  const problems: string[] = [];
  if (call.prompt_attribution === 'ambiguous') problems.push('names several prompts, or one twice with different versions: shown, never compared');
  else if (call.prompt_name === null && call.prompt_version === null) problems.push('no prompt name and no version');
  else if (call.prompt_version === null) problems.push('a prompt name, but no version');
  else if (call.prompt_name === null) problems.push('a prompt version, but no name');
  else if (call.prompt_version_source === 'label') problems.push(`the version is a label, which may mean another prompt tomorrow`);
  if (call.flags.includes(UNREADABLE)) problems.push('an attribute begins as JSON (or a Python dict) and is broken, or cut: see OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT');
  if (misses_ancestor) problems.push('a span above it is not in these files: it may carry what is missing');
  if (stands_for_inferences) problems.push('a wrapper that counts in place of the inferences below it, which are not in these files');
  return problems;
}

function isShown(field: string, value: string | number | boolean | null): boolean {
  return value !== null && value !== '' && !(value === false && field !== 'is_format_valid' && field !== 'is_stream');
}

function shown(value: string | number | boolean): string {
  return typeof value === 'number' ? String(Number(value.toPrecision(8))) : String(value);
}

function sourceText(field: string, finding: Finding & { kind: 'call' }, sources: readonly string[], inheritedFrom: string | undefined, ink: Ink): string {
  if (field === 'cost_usd' && finding.call.cost_source === 'computed') return 'computed from model and tokens';
  const keys = namedSources(sources, ink);
  return inheritedFrom === undefined ? keys : `${keys}  of span ${inheritedFrom}`;
}

function namedSources(sources: readonly string[], ink: Ink): string {
  const named = sources.slice(0, MAX_SOURCES_NAMED).map((source) => ink.plain(source, MAX_SOURCE_CHARACTERS));
  return `${named.join(', ')}${sources.length > named.length ? ` and ${sources.length - named.length} more` : ''}`;
}

function ignoredLine(finding: Finding & { kind: 'ignored' }, ink: Ink): string {
  const { relative, reason } = finding;
  const sources = finding.sources();
  const tags = (['prompt_name', 'prompt_version', 'prompt_label', 'session_id'] as const).flatMap((field) => {
    const value = relative[field];
    return value === null ? [] : [`${MARGIN}${field.padEnd(14)}  ${ink.plain(value)}  ${ink.faint((sources.get(field) ?? []).map((source) => ink.plain(source, MAX_SOURCE_CHARACTERS)).join(', '))}\n`];
  });
  const unread = reason === 'not_an_llm_call' && finding.sdk !== null ? `  ${ink.faint(`looks like ${finding.sdk.name}`)}` : '';
  return head('ignored', `${ink.plain(finding.span_name, 60)}  ${reason}${unread}`, finding, ink) + tags.join('') + flagLines(finding.flags, sources, ink).map((line) => `${line}\n`).join('');
}

function flagLines(flags: readonly string[], sources: Sources, ink: Ink): string[] {
  return flags.map((flag) => {
    const from = namedSources(sources.get(`flags.${flag}`) ?? [], ink);
    return `${MARGIN}${ink.faint(`flag ${ink.plain(flag)}${from === '' ? '' : `: ${from}`}`)}`;
  });
}

/** Captures often hold a request twice, in two encodings: that is worth a line, not a line each. */
export function repeatedLine(count: number, ink: Ink): string {
  return `${ink.strong('ignored'.padEnd(KIND_WIDTH))}  same_span_again  ${count === 1 ? 'a span that was' : `${count} spans that were`} there before\n`;
}

const JUDGES: Readonly<Record<Judged, string>> = {
  call: 'of a call in these files',
  stand_in: 'of a span that stands for calls',
  other_span: 'of a span that is no call',
  trace: 'of a trace, not of one call',
  not_here: 'of a span that is not in these files',
};

function scoreLine(finding: Finding & { kind: 'score' }, ink: Ink): string {
  const { score, judges } = finding;
  const sources = finding.sources();
  const value = score.value === null ? (score.label ?? score.error_type ?? '') : `${shown(score.value)}${score.label === null ? '' : ` (${score.label})`}`;
  const from = [...new Set(['name', 'value', 'label', 'evaluator', 'response_id'].flatMap((field) => sources.get(field) ?? []))].slice(0, 4);
  const target = score.response_id === null ? '' : `  response ${ink.plain(score.response_id)}`;
  return `${head('score', `${ink.plain(score.name)}  ${ink.plain(value)}  ${judges === 'not_here' ? ink.warning(JUDGES[judges]) : JUDGES[judges]}${target}`, finding, ink)}${MARGIN}${ink.faint(from.map((source) => ink.plain(source, MAX_SOURCE_CHARACTERS)).join(', '))}\n`;
}
