import type { LlmCall } from '../../schemas/call.ts';
import type { Cardinality } from './cardinality.ts';

/**
 * A prompt that nobody gave a version, or only a label, has its own text as the version: the fingerprint. So an edit shows up
 * as a new version before anybody tags anything. Its name is, where nothing names it, that of what asked: the function or agent, else the service.
 *
 * A template is the same text for every call. A system prompt as it was sent may hold a date or a user's name, and then every
 * call would be a version of its own. So it counts only while it is stable: in the last hour of the arrival clock there were at
 * most 5 texts, or as many as 2 % of the calls (for each project, service and name); otherwise the call has no version.
 *
 * A service is a weaker name than an agent: it may send several prompts, and these must not be compared as if they were versions
 * of one. What tells them apart is time. Prompts that live beside each other are seen within minutes of each other; an edit comes
 * after its predecessor was alone for long. So under a service's name a second text counts only if the first was alone for
 * ten minutes and 100 calls, and a third makes all of them count for nothing.
 *
 * What was seen is kept in memory, bounded, and starts anew with the process: then a prompt has to show again that it is
 * unstable, and a service that its text is alone. A call that waits for an ancestor is seen twice.
 */
const HOUR_MS = 3_600_000;
const FEW_TEXTS = 5;
const SHARE_OF_CALLS = 0.02;
const ALONE_MS = 600_000;
const ALONE_CALLS = 100;
/** Texts of one name that are told apart; one with more is unstable, whatever its calls. */
const MOST_TEXTS = 1_000;
/** Texts remembered over all names: beyond it the name that was idle longest is forgotten. */
const MOST_REMEMBERED = 100_000;
const PERIOD_MS = HOUR_MS / 12;

type Seen = {
  /** By fingerprint, the one that was seen longest ago first: when it was last seen. */
  readonly lastMs: Map<string, number>;
  /** Calls of the last hour, in periods of five minutes. */
  readonly calls: Map<number, number>;
  /** Since when there is one text only, and how many calls it had. */
  alone: { readonly sinceMs: number; calls: number } | null;
  /** The second text came after the first had been alone for long. */
  isSuccession: boolean;
};

/** Gives calls their names and versions by text, then has them admitted. */
export function withTextVersions(cardinality: Cardinality, settings: { readonly mostRemembered: number } = { mostRemembered: MOST_REMEMBERED }): Cardinality {
  const names = new Map<string, Seen>();
  let remembered = 0;

  const seenUnder = (key: string): Seen => {
    const seen = names.get(key) ?? { lastMs: new Map<string, number>(), calls: new Map<number, number>(), alone: null, isSuccession: false };
    names.delete(key);
    names.set(key, seen);
    return seen;
  };
  const forget = (seen: Seen, fingerprint: string): void => {
    if (seen.lastMs.delete(fingerprint)) remembered -= 1;
  };
  const forgetIdle = (): void => {
    for (const [key, seen] of names) {
      if (remembered + names.size <= settings.mostRemembered) return;
      remembered -= seen.lastMs.size;
      names.delete(key);
    }
  };

  /** One call of this text. Returns how many texts and calls the last hour had. */
  const see = (seen: Seen, fingerprint: string, stampMs: number): { texts: number; calls: number } => {
    for (const [known, lastMs] of seen.lastMs) {
      if (lastMs > stampMs - HOUR_MS) break;
      forget(seen, known);
    }
    const isNew = !seen.lastMs.has(fingerprint);
    forget(seen, fingerprint);
    if (seen.lastMs.size <= MOST_TEXTS) {
      seen.lastMs.set(fingerprint, stampMs);
      remembered += 1;
    }
    const period = Math.floor(stampMs / PERIOD_MS);
    seen.calls.set(period, (seen.calls.get(period) ?? 0) + 1);
    for (const past of seen.calls.keys()) if (past <= period - 12) seen.calls.delete(past);

    if (seen.lastMs.size === 1) {
      if (isNew || seen.alone === null) seen.alone = { sinceMs: stampMs, calls: 0 };
      seen.alone.calls += 1;
    } else if (isNew && seen.lastMs.size === 2) {
      seen.isSuccession = seen.alone !== null && stampMs - seen.alone.sinceMs >= ALONE_MS && seen.alone.calls >= ALONE_CALLS;
      seen.alone = null;
    } else if (seen.lastMs.size > 2) {
      seen.isSuccession = false;
    }
    return { texts: seen.lastMs.size, calls: [...seen.calls.values()].reduce((sum, calls) => sum + calls, 0) };
  };

  const isStable = (fingerprint: string, key: string, under: 'name' | 'service', stampMs: number): boolean => {
    const seen = seenUnder(key);
    const { texts, calls } = see(seen, fingerprint, stampMs);
    forgetIdle();
    if (under === 'service') return texts === 1 || (texts === 2 && seen.isSuccession);
    return texts <= Math.min(MOST_TEXTS, Math.max(FEW_TEXTS, calls * SHARE_OF_CALLS));
  };

  const named = (call: LlmCall, stampMs: number): LlmCall => {
    const { prompt_fingerprint: fingerprint, prompt_version_source: source, asker = null } = call;
    if (fingerprint === null || (source !== 'none' && source !== 'label') || call.prompt_attribution === 'ambiguous') return call;
    const service = isService(call.service_name) ? call.service_name : null;
    const prompt_name = call.prompt_name ?? asker ?? service;
    const isTemplate = fingerprint.startsWith('t:');
    const under = call.prompt_name === null && asker === null ? 'service' : 'name';
    const key = `${call.project}\0${call.service_name}\0${under}\0${prompt_name ?? ''}`;
    const counts = isStable(fingerprint, key, under, stampMs) || (isTemplate && under === 'name');
    return counts ? { ...call, prompt_name, prompt_version: fingerprint, prompt_version_source: isTemplate ? 'template_fp' : 'system_fp' } : call;
  };

  return {
    admit: (call, stampMs) => cardinality.admit(named(call, stampMs), stampMs),
    restore: (seen, nowMs) => cardinality.restore(seen, nowMs),
  };
}

/** What SDKs say where nobody set `service.name`. */
function isService(name: string): boolean {
  return name !== '' && name !== 'unknown_service' && !name.startsWith('unknown_service:');
}
