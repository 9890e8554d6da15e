import type { LlmCall } from '../../schemas/call.ts';
import type { Cardinality, SeenVersion } from './cardinality.ts';

/**
 * A prompt that nobody gave a version, or only a label, has its own text as the version: the fingerprint. So an edit shows up
 * as a new version before anybody tags anything. Its name is, where nothing names it, that of what asked: the function or agent, else the service.
 *
 * A template is the same text for every call, and a version wherever it has a name. A system prompt as it was sent may hold a date, a user's
 * name or a language, and a service may send several prompts; those must not be compared as if they were versions of one. What tells an edit
 * from them is time: texts that live beside each other are seen within minutes of each other, an edit comes after its predecessor was alone
 * for long. So a second text counts only if the first was alone for ten minutes and 100 calls, and a third within the hour makes all
 * of them count for nothing. (A share of the calls was tried instead: three languages of one agent passed for versions.)
 *
 * What was seen is kept in memory, bounded; after a restart the texts that counted today count again. A call that waits for an
 * ancestor is seen twice.
 */
const HOUR_MS = 3_600_000;
const ALONE_MS = 600_000;
const ALONE_CALLS = 100;
/** Texts of one name that are told apart: with the third none counts any more. */
const MOST_TEXTS = 3;
/** Names that are remembered: beyond it the one that was idle longest is forgotten. */
const MOST_REMEMBERED = 50_000;

type Seen = {
  /** By fingerprint, the one that was seen longest ago first: when it was last seen. */
  readonly lastMs: Map<string, number>;
  /** Since when there is one text only, and how many calls it had. */
  alone: { readonly sinceMs: number; calls: number } | null;
  /** The second text came after the first had been alone for long. */
  isSuccession: boolean;
};

/** Gives calls their names and versions by text, then has them admitted. */
export function withTextVersions(cardinality: Cardinality, settings: { readonly mostRemembered: number } = { mostRemembered: MOST_REMEMBERED }): Cardinality {
  const names = new Map<string, Seen>();
  /** Texts that an earlier process took for versions, by project and name. */
  let counted = new Set<string>();

  const seenUnder = (key: string): Seen => {
    const seen = names.get(key) ?? { lastMs: new Map<string, number>(), alone: null, isSuccession: false };
    names.delete(key);
    names.set(key, seen);
    const [idlest] = names.keys();
    if (names.size > settings.mostRemembered && idlest !== undefined) names.delete(idlest);
    return seen;
  };

  /** One call of this text. Returns how many texts the last hour had. */
  const see = (seen: Seen, { fingerprint, stampMs, hasCounted }: { fingerprint: string; stampMs: number; hasCounted: boolean }): number => {
    const { lastMs } = seen;
    for (const [known, at] of lastMs) {
      if (at > stampMs - HOUR_MS) break;
      lastMs.delete(known);
    }
    const isNew = !lastMs.delete(fingerprint);
    if (lastMs.size === MOST_TEXTS) lastMs.delete(lastMs.keys().next().value ?? '');
    lastMs.set(fingerprint, stampMs);
    if (lastMs.size === 1) {
      if (isNew || seen.alone === null) seen.alone = { sinceMs: stampMs, calls: 0 };
      seen.alone.calls += 1;
    } else if (isNew && lastMs.size === 2) {
      seen.isSuccession = hasCounted || (seen.alone !== null && stampMs - seen.alone.sinceMs >= ALONE_MS && seen.alone.calls >= ALONE_CALLS);
      seen.alone = null;
    }
    return lastMs.size;
  };

  const named = (call: LlmCall, stampMs: number): LlmCall => {
    const { prompt_fingerprint: fingerprint, prompt_version_source: source, asker = null } = call;
    if (fingerprint === null || (source !== 'none' && source !== 'label') || call.prompt_attribution === 'ambiguous') return call;
    const service = isService(call.service_name) ? call.service_name : null;
    const prompt_name = call.prompt_name ?? asker ?? service;
    const isTemplate = fingerprint.startsWith('t:');
    const isOfService = call.prompt_name === null && asker === null;
    const as = { prompt_name, prompt_version: fingerprint, prompt_version_source: isTemplate ? ('template_fp' as const) : ('system_fp' as const) };
    if (isTemplate && !isOfService) return { ...call, ...as };
    const seen = seenUnder(`${call.project}\0${call.service_name}\0${isOfService ? 'service' : 'name'}\0${prompt_name ?? ''}`);
    const texts = see(seen, { fingerprint, stampMs, hasCounted: counted.has(countedKey({ project: call.project, prompt_name: prompt_name ?? '', prompt_version: fingerprint })) });
    return texts === 1 || (texts === 2 && seen.isSuccession) ? { ...call, ...as } : call;
  };

  return {
    admit: (call, stampMs) => cardinality.admit(named(call, stampMs), stampMs),
    restore(seen, nowMs) {
      counted = new Set(seen.filter(({ prompt_version }) => /^[st]:[0-9a-f]{16}$/.test(prompt_version)).map(countedKey));
      cardinality.restore(seen, nowMs);
    },
  };
}

function countedKey({ project, prompt_name, prompt_version }: SeenVersion): string {
  return `${project}\0${prompt_name}\0${prompt_version}`;
}

/** What SDKs say where nobody set `service.name`. */
function isService(name: string): boolean {
  return name !== '' && name !== 'unknown_service' && !name.startsWith('unknown_service:');
}
