import type { Finding } from '../../analyzer/inspection/inspection.ts';
import type { Sdk } from '../../analyzer/inspection/sdks.ts';
import type { Decoded } from '../../schemas/otlp.ts';
import { problemsOf, type Ink } from './inspect-text.ts';

/** What was seen, counted, and what to do about what is missing: the end of `culprit inspect`. */
export type Account = {
  file(read: { readonly requests: readonly Decoded[]; readonly metrics: number }): void;
  unreadable(file: string, message: string): void;
  finding(finding: Finding): void;
  hasUnreadable(): boolean;
  text(end: { readonly ignoredRecords: ReadonlyMap<string, number>; readonly shown: number; readonly ink: Ink }): string;
};

/** Where tagging is described, for each SDK. */
const GUIDE = 'docs/TAGGING.md';
const MAX_UNREADABLE_NAMED = 4;
const MAX_PROMPTS_NAMED = 8;
/** Distinct prompts and versions that are counted. */
const MAX_PROMPTS = 10_000;

export function createAccount(): Account {
  const counts = { files: 0, spans: 0, records: 0, metrics: 0, findings: 0, calls: 0, versioned: 0, sessions: 0, scores: 0, scoresOfCalls: 0, lostScores: 0 };
  /** Files by what was wrong with them. */
  const unreadable = new Map<string, string[]>();
  const rejected = new Map<string, number>();
  const ignored = new Map<string, number>();
  const problems = new Map<string, number>();
  /** SDKs of calls, of calls without a version, and of spans that nothing reads. */
  const read = new Set<string>();
  const untagged = new Map<string, { readonly sdk: Sdk; count: number }>();
  const unread = new Map<string, { readonly sdk: Sdk; count: number }>();
  const versions = new Map<string, Set<string>>();

  const bump = (map: Map<string, number>, key: string, by = 1): void => void map.set(key, (map.get(key) ?? 0) + by);
  const bumpSdk = (map: Map<string, { readonly sdk: Sdk; count: number }>, sdk: Sdk | null): void => {
    if (sdk === null) return;
    const known = map.get(sdk.name);
    if (known === undefined) map.set(sdk.name, { sdk, count: 1 });
    else known.count += 1;
  };

  return {
    file({ requests, metrics }) {
      counts.files += 1;
      counts.metrics += metrics;
      for (const decoded of requests) {
        if (decoded.signal === 'traces') counts.spans += decoded.received;
        else counts.records += decoded.received;
        for (const [reason, count] of decoded.rejected) bump(rejected, reason, count);
      }
    },
    unreadable(file, message) {
      const known = unreadable.get(message);
      if (known === undefined) unreadable.set(message, [file]);
      else known.push(file);
    },
    finding(finding) {
      counts.findings += 1;
      switch (finding.kind) {
        case 'call': {
          const { prompt_name, prompt_version, prompt_attribution, session_id } = finding.call;
          counts.calls += 1;
          if (finding.sdk !== null) read.add(finding.sdk.name);
          if (session_id !== null) counts.sessions += 1;
          for (const problem of problemsOf(finding)) bump(problems, problem);
          if (prompt_name === null || prompt_version === null || prompt_attribution === 'ambiguous') {
            bumpSdk(untagged, finding.sdk);
            break;
          }
          counts.versioned += 1;
          const known = versions.get(prompt_name);
          if (known !== undefined) known.add(prompt_version);
          else if (versions.size < MAX_PROMPTS) versions.set(prompt_name, new Set([prompt_version]));
          break;
        }
        case 'ignored':
          bump(ignored, finding.reason);
          if (finding.reason === 'not_an_llm_call') bumpSdk(unread, finding.sdk);
          break;
        case 'score':
          counts.scores += 1;
          if (finding.judges === 'call' || finding.judges === 'stand_in') counts.scoresOfCalls += 1;
          if (finding.judges === 'not_here') counts.lostScores += 1;
          break;
      }
    },
    hasUnreadable: () => unreadable.size > 0,
    text({ ignoredRecords, shown, ink }) {
      const { calls, versioned, scores } = counts;
      const lines: string[] = [];
      const row = (label: string, text: string): void => void lines.push(`${ink.strong(label.padEnd(12))}  ${text}`);

      row('read', `${many(counts.files, 'file')}: ${many(counts.spans, 'span')}, ${many(counts.records, 'log record')}${counts.metrics === 0 ? '' : `, ${many(counts.metrics, 'metrics request')} passed over`}`);
      if (shown < counts.findings) row('shown', `${shown} of ${counts.findings}; the counts are of all`);
      row('calls', `${calls}${calls === 0 ? '' : `, ${versioned} with prompt name and version (${percent(versioned, calls)}), ${counts.sessions} with a session (${percent(counts.sessions, calls)})`}`);
      for (const [problem, count] of byCount(problems)) lines.push(`${' '.repeat(14)}${ink.warning(`${count}  ${problem}`)}`);
      row('scores', `${scores}${scores === 0 ? '' : `, ${counts.scoresOfCalls} of calls in these files`}`);
      if (ignored.size > 0) row('ignored', byCount(ignored).map(([reason, count]) => `${reason} ${count}`).join(', '));
      if (ignoredRecords.size > 0) row('log records', `ignored: ${byCount(ignoredRecords).map(([reason, count]) => `${reason} ${count}`).join(', ')}`);
      if (rejected.size > 0) row('refused', byCount(rejected).map(([reason, count]) => `${reason} ${count}`).join(', '));
      for (const [index, [message, files]] of [...unreadable].entries()) {
        const named = files.slice(0, MAX_UNREADABLE_NAMED).map((file) => ink.plain(file, 200));
        const rest = files.length - named.length;
        row(index === 0 ? 'not read' : '', ink.warning(`${ink.plain(message, 300)}: ${named.join(', ')}${rest === 0 ? '' : ` and ${many(rest, 'other file')}`}`));
      }
      const prompts = [...versions].toSorted(([, x], [, y]) => y.size - x.size);
      for (const [index, [name, seen]] of prompts.slice(0, MAX_PROMPTS_NAMED).entries()) {
        row(index === 0 ? 'prompts' : '', `${ink.plain(name)}  ${[...seen].slice(0, 6).map((version) => ink.plain(version, 24)).join(', ')}${seen.size > 6 ? ` and ${seen.size - 6} more` : ''}`);
      }
      if (prompts.length > MAX_PROMPTS_NAMED) lines.push(`${' '.repeat(14)}and ${prompts.length - MAX_PROMPTS_NAMED} more`);

      const next = nextSteps();
      if (next.length > 0) lines.push('', ink.strong('what next'), ...next.map((step) => `  ${step}`));
      return `${lines.join('\n')}\n`;
    },
  };

  function nextSteps(): string[] {
    const { calls, versioned, lostScores } = counts;
    const steps: string[] = [];
    for (const { sdk, count } of [...untagged.values()].toSorted((x, y) => y.count - x.count)) {
      steps.push(`${sdk.name}, ${many(count, 'call')} without prompt name or version:`, `    ${sdk.tag}`, `    ${GUIDE}#${sdk.section}`);
    }
    // Beside calls, other spans of a library are what they seem: tools, steps, prompt fetches.
    for (const { sdk, count } of [...unread.values()].filter((seen) => !read.has(seen.sdk.name)).toSorted((x, y) => y.count - x.count)) {
      steps.push(`${sdk.name}, ${many(count, 'span')}, none read as a call. If calls are among them: ${GUIDE}#${sdk.section}`);
    }
    const agents = (ignored.get('agent') ?? 0) + (ignored.get('wrapper') ?? 0);
    if (counts.spans > 0 && calls === 0 && agents > 0) steps.push(`No span is an LLM call, but ${many(agents, 'span')} of agents or chains: turn on the instrumentation of the model's client, too (of OpenAI's, Anthropic's, …)`);
    else if (counts.spans > 0 && calls === 0 && unread.size === 0) steps.push('No span is an LLM call: is the instrumentation of the model client turned on?');
    if (counts.spans === 0 && counts.records > 0) steps.push('Only log records: the calls are in what is sent to /v1/traces.');
    if (lostScores > 0) steps.push(`${many(lostScores, 'score')} of a span that is not in these files: a score needs the span, or the response id, of the call that it judges (${GUIDE}#scores)`);
    if (calls > 0 && versioned === calls && ![...versions.values()].some((seen) => seen.size > 1)) steps.push('Every call is tagged, with one version of each prompt: Culprit compares as soon as a second version takes traffic.');
    else if (calls > 0 && versioned === calls) steps.push('Every call is tagged. Send the same to http://127.0.0.1:4318 (culprit), or run it now: culprit replay FILE…');
    return steps;
  }
}

function byCount(counts: ReadonlyMap<string, number>): [string, number][] {
  return [...counts].toSorted(([, x], [, y]) => y - x);
}

function many(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

function percent(part: number, whole: number): string {
  // Rounded down, so that 100 % means all.
  return `${Math.floor((100 * part) / whole)} %`;
}
