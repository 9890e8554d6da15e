import type { PromptVersionSource } from '../../schemas/call.ts';
import type { Attributes, AttributeValue } from '../../schemas/otlp.ts';
import { isFields, listOf, noteCut, structured, structureOf, UNREADABLE } from './structured.ts';
import type { PromptTags } from './tags.ts';
import { text } from './values.ts';

/**
 * Prompts that the application itself wrote into the room that a library leaves it: `langsmith.metadata.prompt_name`,
 * `ai.telemetry.metadata.promptVersion`, `metadata` = '{"prompt_name": …}'. How the key is spelled is everybody's own choice.
 *
 * It runs on every span, so it is one pass over the keys, told apart by their first letter, and JSON (or a Python dict) is parsed only where its
 * text has "rompt" in it. Where a span has several such rooms, the first in this order that says something is taken.
 */
const CONTAINERS: readonly string[] = [
  'metadata',
  'langfuse.observation.metadata',
  'langfuse.trace.metadata',
  'langsmith.metadata',
  'ai.telemetry.metadata',
  'ai.settings.context',
  'traceloop.association.properties',
  'lmnr.association.properties',
  'mastra.metadata',
  'litellm.metadata',
  'promptlayer.metadata',
  'braintrust.metadata',
  'wandb.attributes',
  'genkit:metadata',
  'prov',
];
/** A header's name, as a gateway hands it on: the rest follows without a dot. */
const HEADER = 'helicone-property-';
/** Rank of attributes that stand in no container: prompt.name, prompt_version. */
const BARE_RANK = CONTAINERS.length + 1;

type Container = { readonly name: string; readonly rank: number };

const BY_FIRST_LETTER: readonly (readonly Container[] | undefined)[] = byFirstLetter([...CONTAINERS, HEADER].map((name, rank) => ({ name, rank })));
const LETTER_P = 'p'.charCodeAt(0);

function byFirstLetter(containers: readonly Container[]): (readonly Container[] | undefined)[] {
  const table: (readonly Container[] | undefined)[] = Array.from({ length: 128 }, () => undefined);
  for (const container of containers) {
    const letter = container.name.charCodeAt(0);
    table[letter] = [...(table[letter] ?? []), container];
  }
  return table;
}

/** A `PromptReader`. */
export function metadataPrompt(attributes: Attributes, flags: Set<string>): PromptTags | null {
  let found: Finding[] | null = null;
  for (const key of attributes.keys()) {
    const letter = key.charCodeAt(0);
    const containers = BY_FIRST_LETTER[letter];
    if (containers === undefined && letter !== LETTER_P) continue;
    const container = containers?.find(({ name }) => key.startsWith(name));
    if (container === undefined) {
      if (letter === LETTER_P && key.startsWith('prompt') && key.length <= MAX_KEY_CHARACTERS) found = lookAt(found, BARE_RANK, key, attributes.get(key), 'exact');
    } else if (key.length === container.name.length) {
      if (container.name !== 'prov') found = lookInto(found, container.rank, attributes.get(key), flags);
    } else if (container.name === HEADER || SEPARATORS.has(key[container.name.length])) {
      const rest = key.slice(container.name.length, container.name.length + MAX_KEY_CHARACTERS);
      if (hasWord(rest)) found = lookAt(found, container.rank, rest, attributes.get(key), 'or_ending');
    }
  }
  return found === null ? null : tagsOf(found, flags);
}

/** Between a container and a key of the application's. */
const SEPARATORS: ReadonlySet<string | undefined> = new Set(['.', ':']);

/** Longer keys name nothing that people chose. */
const MAX_KEY_CHARACTERS = 128;
/** Longest text that is parsed. */
const MAX_JSON_CHARACTERS = 256 * 1024;
/** Most entries of one container that are looked at. */
const MAX_ENTRIES = 1_000;

type Fact = 'name' | 'version' | 'label';
type Meaning = { readonly word: string; readonly fact: Fact; readonly source: PromptVersionSource; readonly isId?: boolean };

/** What keys mean, without case and punctuation; of two that say the same thing the first is taken. */
const MEANINGS: readonly Meaning[] = [
  { word: 'promptname', fact: 'name', source: 'none' },
  { word: 'prompttemplatename', fact: 'name', source: 'none' },
  { word: 'promptkey', fact: 'name', source: 'none', isId: true },
  { word: 'promptid', fact: 'name', source: 'none', isId: true },
  { word: 'promptversion', fact: 'version', source: 'explicit' },
  { word: 'promptversionid', fact: 'version', source: 'explicit' },
  { word: 'promptcommit', fact: 'version', source: 'commit' },
  { word: 'prompthash', fact: 'version', source: 'hash' },
  { word: 'promptlabel', fact: 'label', source: 'none' },
  { word: 'promptenvironment', fact: 'label', source: 'none' },
  { word: 'promptvariant', fact: 'label', source: 'none' },
];
const MEANING_OF: ReadonlyMap<string, { meaning: Meaning; order: number }> = new Map(MEANINGS.map((meaning, order) => [meaning.word, { meaning, order }]));

/** One usable value. `rank`: which container; `order`: how good its key is, smaller is better. */
type Finding = { readonly rank: number; readonly order: number; readonly meaning: Meaning; readonly value: AttributeValue };

/** A key that ends in a known word comes after all that are one; `system_prompt_version` before `user_prompt_version`. */
const ENDING_IN_SYSTEM = 100;
const ENDING_OTHERWISE = 200;

function lookAt(found: Finding[] | null, rank: number, key: string, value: AttributeValue | undefined, match: 'exact' | 'or_ending'): Finding[] | null {
  const word = plain(key);
  const known = MEANING_OF.get(word);
  if (known !== undefined) return withValue(found, rank, known.order, known.meaning, value);
  if (match === 'exact') return found;
  if (word === 'prompt' || word === 'opikprompts') return lookIntoPrompt(found, rank, value);
  for (const [order, meaning] of MEANINGS.entries()) {
    if (word.endsWith(meaning.word)) return withValue(found, rank, order + (word.startsWith('system') ? ENDING_IN_SYSTEM : ENDING_OTHERWISE), meaning, value);
  }
  return found;
}

function withValue(found: Finding[] | null, rank: number, order: number, meaning: Meaning, value: AttributeValue | undefined): Finding[] | null {
  if (value === undefined || text(value, NO_FLAGS) === null) return found;
  const findings = found ?? [];
  if (findings.length < MAX_ENTRIES) findings.push({ rank, order, meaning, value });
  return findings;
}

/** Only to see whether there is a value: what is odd about it is flagged when it is taken. */
const NO_FLAGS = new Set<string>();

/** Lower case, without the punctuation that people put between words. */
function plain(key: string): string {
  return key.toLowerCase().replaceAll('_', '').replaceAll('-', '').replaceAll('.', '').replaceAll(' ', '');
}

/** A container as a whole: structured, or as JSON text. */
function lookInto(found: Finding[] | null, rank: number, value: AttributeValue | undefined, flags: Set<string>): Finding[] | null {
  if (typeof value === 'string' && value.length > MAX_JSON_CHARACTERS) {
    flags.add('metadata_over_limit');
    return found;
  }
  if (typeof value === 'string' && !hasWord(value)) {
    noteCut(value, flags);
    return found;
  }
  const odd = new Set<string>();
  const fields = structureOf(value, odd);
  if (odd.size > 0) {
    // What is missing may be the version of a name that is there.
    flags.add(UNREADABLE);
    return found;
  }
  let findings = found;
  for (const [key, member] of membersOf(fields)) {
    const head = key.slice(0, MAX_KEY_CHARACTERS);
    if (hasWord(head)) findings = lookAt(findings, rank, head, member, 'or_ending');
  }
  return findings;
}

/** `prompt: {name, version}`, and Opik's list of them (the first counts). */
function lookIntoPrompt(found: Finding[] | null, rank: number, value: AttributeValue | undefined): Finding[] | null {
  const prompt = structured(value);
  let findings = found;
  for (const [key, member] of membersOf(listOf(prompt)[0] ?? prompt)) {
    const known = MEANING_OF.get(`prompt${plain(key.slice(0, MAX_KEY_CHARACTERS))}`);
    if (known !== undefined) findings = withValue(findings, rank, known.order, known.meaning, member);
  }
  return findings;
}

function hasWord(text: string): boolean {
  return text.includes('rompt') || text.includes('ROMPT');
}

function membersOf(fields: AttributeValue | undefined): Iterable<readonly [string, AttributeValue]> {
  return isFields(fields) ? [...fields].slice(0, MAX_ENTRIES) : [];
}

/** Name, version and label from one container: the first that has a name or a version. */
function tagsOf(found: readonly Finding[], flags: Set<string>): PromptTags | null {
  const sorted = [...found].sort((a, b) => a.rank - b.rank || a.order - b.order);
  const rank = sorted.find(({ meaning }) => meaning.fact !== 'label')?.rank ?? sorted[0]?.rank;
  const of = (fact: Fact) => sorted.find((finding) => finding.rank === rank && finding.meaning.fact === fact);
  const [name, version, label] = [of('name'), of('version'), of('label')];
  if (name === undefined && version === undefined && label === undefined) return null;
  return {
    prompt_name: text(name?.value, flags),
    prompt_version: text(version?.value, flags),
    prompt_version_source: version?.meaning.source ?? 'none',
    prompt_label: text(label?.value, flags),
    prompt_attribution: 'direct',
    name_is_id: name?.meaning.isId === true,
  };
}
