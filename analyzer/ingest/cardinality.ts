import type { LimitFlag } from '../../schemas/call-flags.ts';
import type { LlmCall } from '../../schemas/call.ts';

/**
 * A sender that puts a request id into its prompt version would make a version of every call. So the distinct names and
 * versions of a day (UTC, by arrival) are limited; what comes beyond is filed under `(other)`, visible and flagged, and takes
 * part in no comparison (its attribution is ambiguous). Those that came first that day keep their names.
 */
export type CardinalityLimits = {
  readonly promptsPerProject: number;
  readonly versionsPerPrompt: number;
  /** Over all prompts of a project: what bounds the memory. */
  readonly versionsPerProject: number;
};

export type Cardinality = {
  /** The call under the names that it may have. */
  admit(call: LlmCall, stampMs: number): LlmCall;
  /** Names that an earlier process admitted on the day of `nowMs`. */
  restore(seen: readonly SeenVersion[], nowMs: number): void;
};

/** `factor`: left out, or `prompt_content` where it is a text under a version. */
export type SeenVersion = { readonly project: string; readonly prompt_name: string; readonly prompt_version: string; readonly factor?: string };

export const OTHER = '(other)';
/** The factor of rows of `versions` that tell of what was past its limit. */
export const OVER_LIMIT = 'over_limit';
export const DEFAULT_LIMITS: CardinalityLimits = { promptsPerProject: 10_000, versionsPerPrompt: 1_000, versionsPerProject: 100_000 };

const DAY_MS = 86_400_000;

export function dayStartMs(nowMs: number): number {
  return Math.floor(nowMs / DAY_MS) * DAY_MS;
}

type Project = { readonly prompts: Map<string, Set<string>>; versions: number };

export function createCardinality(limits: CardinalityLimits): Cardinality {
  let today = Number.NEGATIVE_INFINITY;
  let projects = new Map<string, Project>();

  const turnTo = (stampMs: number): void => {
    const day = dayStartMs(stampMs);
    if (day <= today) return;
    today = day;
    projects = new Map();
  };

  const limitOf = (project: string, name: string, version: string | null): LimitFlag | null => {
    let seen = projects.get(project);
    if (seen === undefined) projects.set(project, (seen = { prompts: new Map(), versions: 0 }));
    let versions = seen.prompts.get(name);
    if (versions === undefined) {
      if (seen.prompts.size >= limits.promptsPerProject) return 'prompt_over_limit';
      seen.prompts.set(name, (versions = new Set()));
    }
    if (version === null || versions.has(version)) return null;
    if (versions.size >= limits.versionsPerPrompt) return 'version_over_limit';
    if (seen.versions >= limits.versionsPerProject) return 'project_over_limit';
    versions.add(version);
    seen.versions += 1;
    return null;
  };

  return {
    admit(call, stampMs) {
      if ((call.prompt_name === null && call.prompt_version === null) || call.prompt_name === OTHER || call.prompt_version === OTHER) return call;
      turnTo(stampMs);
      const limit = limitOf(call.project, call.prompt_name ?? '', call.prompt_version);
      if (limit === null) return call;
      const prompt_name = limit === 'prompt_over_limit' ? OTHER : call.prompt_name;
      const prompt_version = call.prompt_version === null ? null : OTHER;
      return { ...call, prompt_name, prompt_version, prompt_attribution: 'ambiguous', flags: [...call.flags, limit] };
    },
    restore(seen, nowMs) {
      turnTo(nowMs);
      for (const { project, prompt_name, prompt_version } of seen) limitOf(project, prompt_name, prompt_version);
    },
  };
}
