import type { LlmCall } from '../../schemas/call.ts';
import type { Cardinality, SeenVersion } from './cardinality.ts';
import { createTextSuccession } from './text-succession.ts';

/**
 * What a prompt's own text says of its version.
 *
 * A prompt that nobody gave a version, or only a label, has its text as the version: the fingerprint. So an edit shows up
 * as a new version before anybody tags anything. Its name is, where nothing names it, that of what asked: the function or agent, else the service.
 * A template is the same text for every call, and a version wherever it has a name; of texts as they were sent only those that followed one
 * another are versions (`text-succession.ts`).
 *
 * Under a version that somebody gave, the text is `prompt_content`, by the same rule: where it moves, that was an edit that nobody versioned.
 *
 * After a restart the texts that counted today count again.
 */

/** Names that are remembered. */
const MOST_REMEMBERED = 50_000;

/** Gives calls their names and versions by text, then has them admitted. */
export function withTextVersions(cardinality: Cardinality, settings: { readonly mostRemembered: number } = { mostRemembered: MOST_REMEMBERED }): Cardinality {
  const versions = createTextSuccession(settings.mostRemembered);
  const contents = createTextSuccession(settings.mostRemembered);
  /** Texts that an earlier process counted, by project and name. */
  let counted = new Set<string>();

  const counts = (succession: typeof versions, name: string, call: LlmCall, { prompt_name, fingerprint, stampMs }: { readonly prompt_name: string; readonly fingerprint: string; readonly stampMs: number }): boolean =>
    succession.see(`${call.project}\0${call.service_name}\0${name}`, { fingerprint, stampMs, hasCounted: counted.has(countedKey({ project: call.project, prompt_name, prompt_version: fingerprint })) });

  const named = (call: LlmCall, stampMs: number): LlmCall => {
    const { prompt_fingerprint: fingerprint, prompt_version_source: source, prompt_version: version, asker = null } = call;
    if (fingerprint === null || call.prompt_attribution === 'ambiguous') return call;
    if (source !== 'none' && source !== 'label') {
      if (call.prompt_name === null || version === null || version === fingerprint) return call;
      const { prompt_name } = call;
      return counts(contents, `${prompt_name}\0${version}`, call, { prompt_name, fingerprint, stampMs }) ? { ...call, prompt_content: fingerprint } : call;
    }
    const service = isService(call.service_name) ? call.service_name : null;
    const prompt_name = call.prompt_name ?? asker ?? service;
    const isTemplate = fingerprint.startsWith('t:');
    const isOfService = call.prompt_name === null && asker === null;
    const as = { prompt_name, prompt_version: fingerprint, prompt_version_source: isTemplate ? ('template_fp' as const) : ('system_fp' as const) };
    if (isTemplate && !isOfService) return { ...call, ...as };
    const name = `${isOfService ? 'service' : 'name'}\0${prompt_name ?? ''}`;
    return counts(versions, name, call, { prompt_name: prompt_name ?? '', fingerprint, stampMs }) ? { ...call, ...as } : call;
  };

  return {
    admit: (call, stampMs) => cardinality.admit(named(call, stampMs), stampMs),
    restore(seen, nowMs) {
      counted = new Set(seen.filter(({ prompt_version }) => /^[st]:[0-9a-f]{16}$/.test(prompt_version)).map(countedKey));
      cardinality.restore(seen.filter(({ factor }) => factor !== 'prompt_content'), nowMs);
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
