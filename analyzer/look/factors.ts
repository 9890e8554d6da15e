import type { Carried } from '../../schemas/evidence.ts';
import type { Seen } from './observations.ts';
import type { Family } from './windows.ts';

/**
 * What can change on a prompt and be blamed for it. One factor, one entry: where its values are read, within what they are told apart
 * (`group`: a response model within its request model), and what strata hold fixed beside it.
 *
 * Changes that are made together cannot all be held fixed: then no stratum would have both arms. So factors stand in an order. Each holds fixed
 * those before it, never those after it, and of what moved at once only the first has strata with both arms: one regression, one culprit. The
 * order is from what surely changes answers (the model, who serves it, the prompt) to what may merely carry that change (the application). Model and
 * provider hold the version fixed while arms run together, but for one that came with them; where times are compared they carry what came with them.
 */
export type Factor = {
  readonly name: FactorName;
  /** The same as `groupOf` and `valueOf`, in SQL over calls and scores; rows whose value is NULL say nothing of the factor. */
  readonly sql: { readonly group: string; readonly value: string };
  readonly groupOf: (seen: Seen) => string;
  /** Empty: it says nothing of the factor. */
  readonly valueOf: (seen: Seen) => string;
  /** What a unit is compared within, by what is measured: `errors`, `successes` or `score:` and a name. */
  readonly familyOf: (seen: Seen, measured: string) => Family;
  /** The same for times that are compared, where another factor may have moved along. */
  readonly familyOverTime: (seen: Seen, measured: string) => Family;
  /** Whether several values that are all new at once are a rollout, or only how a prompt is served. */
  readonly opensAtFirstSight: boolean;
  /** Changed for one prompt by itself; what is not may move for many prompts at once, and is then no reason not to hear them. */
  readonly isOfPrompt: boolean;
};

/** A built-in one, or an attribute that the configuration names. */
export type FactorName = string;

type Held = Readonly<Record<string, string>>;
const held = {
  version: ({ version }: Seen): Held => ({ 'gen_ai.prompt.version': version }),
  content: ({ prompt_content }: Seen): Held => ({ prompt_content }),
  /** Failed calls may not say who served them: they must not be kept apart from those that did. */
  provider: ({ provider }: Seen, measured: string): Held => (measured === 'errors' ? {} : { 'gen_ai.provider.name': provider }),
  app: ({ app_version }: Seen): Held => ({ 'service.version': app_version }),
};

/** The route with what else is held fixed; what is not known is left out. */
const routeWith = (route: string, ...fixed: readonly Held[]): string =>
  [route, ...fixed.flatMap((each) => Object.entries(each).flatMap(([name, value]) => (value === '' ? [] : [`${name}=${value}`])))].join(' ').trimStart();

/** Failed calls often name no response model: they are kept apart by the one that was asked for. */
const byModel = ({ request_model, response_model, operation, route }: Seen, measured: string, ...fixed: readonly Held[]): Family => ({
  group: measured,
  model: measured === 'errors' ? request_model : response_model,
  operation,
  route: routeWith(route, ...fixed),
});
const byRequestModel = ({ request_model, operation, route }: Seen, measured: string, ...fixed: readonly Held[]): Family => ({ group: measured, model: request_model, operation, route: routeWith(route, ...fixed) });

const byNoModel = ({ operation, route }: Seen, measured: string, ...fixed: readonly Held[]): Family => ({ group: measured, model: '', operation, route: routeWith(route, ...fixed) });

const ofVersion = (seen: Seen, measured: string): Family => byModel(seen, measured, held.provider(seen, measured));
const ofApp = (seen: Seen, measured: string): Family => byModel(seen, measured, held.provider(seen, measured), held.version(seen), held.content(seen));

/** The model that is asked for, which the application chooses. Who serves it comes with it, so the provider is not held fixed. */
const requestModel: Factor = {
  name: 'request_model',
  sql: { group: `''`, value: `nullIf(request_model, '')` },
  groupOf: () => '',
  valueOf: ({ request_model }) => request_model,
  familyOf: (seen, measured) => byNoModel(seen, measured, held.version(seen)),
  familyOverTime: byNoModel,
  opensAtFirstSight: false,
  isOfPrompt: false,
};

/** The response model that moved under an unchanged request model: an alias that points elsewhere. */
const model: Factor = {
  name: 'model',
  sql: { group: `coalesce(request_model, '')`, value: 'response_model' },
  groupOf: ({ request_model }) => request_model,
  valueOf: ({ response_model }) => response_model,
  familyOf: (seen, measured) => byRequestModel(seen, measured, held.version(seen)),
  familyOverTime: byRequestModel,
  opensAtFirstSight: false,
  isOfPrompt: false,
};

/** Who serves one request model. */
const provider: Factor = {
  name: 'provider',
  sql: { group: `coalesce(request_model, '')`, value: `if(provider IN ('', 'unknown'), NULL, provider)` },
  groupOf: ({ request_model }) => request_model,
  valueOf: (seen) => (seen.provider === 'unknown' ? '' : seen.provider),
  familyOf: (seen, measured) => byModel(seen, measured, held.version(seen)),
  familyOverTime: byModel,
  opensAtFirstSight: false,
  isOfPrompt: false,
};

const promptVersion: Factor = {
  name: 'prompt_version',
  sql: { group: `''`, value: 'prompt_version' },
  groupOf: () => '',
  valueOf: ({ version }) => version,
  familyOf: ofVersion,
  familyOverTime: ofVersion,
  opensAtFirstSight: true,
  isOfPrompt: true,
};

/** The text that moved under an unchanged version: an edit that nobody versioned. */
const promptContent: Factor = {
  name: 'prompt_content',
  sql: { group: `coalesce(prompt_version, '')`, value: 'prompt_content' },
  groupOf: ({ version }) => version,
  valueOf: ({ prompt_content }) => prompt_content,
  familyOf: ofVersion,
  familyOverTime: ofVersion,
  opensAtFirstSight: false,
  isOfPrompt: true,
};

/** The service that asks, within its name. */
const appVersion: Factor = {
  name: 'app_version',
  sql: { group: 'service_name', value: `nullIf(service_version, '')` },
  groupOf: ({ service_name }) => service_name,
  valueOf: ({ app_version }) => app_version,
  familyOf: ofApp,
  familyOverTime: ofApp,
  opensAtFirstSight: false,
  isOfPrompt: false,
};

/** An attribute that the configuration names. Where strata are kept apart by it, its own comparison must not be. */
function ofAttribute(name: FactorName): Factor {
  const valueOf = ({ attributes }: Seen): string => (Object.hasOwn(attributes, name) ? (attributes[name] ?? '') : '');
  const family = (seen: Seen, measured: string): Family => {
    const own = `${name}=${valueOf(seen)}`;
    const route = ` ${seen.route} `.replace(` ${own} `, ' ').trim();
    return byModel({ ...seen, route }, measured, held.provider(seen, measured), held.version(seen), held.content(seen), held.app(seen));
  };
  return {
    name,
    sql: { group: `''`, value: `nullIf(factor_attributes['${name.replaceAll('\\', '\\\\').replaceAll(`'`, `\\'`)}'], '')` },
    groupOf: () => '',
    valueOf,
    familyOf: family,
    familyOverTime: family,
    opensAtFirstSight: false,
    isOfPrompt: false,
  };
}

/** The order of the list above: of changes that were made together, the first is told. */
const BUILT_IN: readonly Factor[] = [requestModel, model, provider, promptVersion, promptContent, appVersion];

export const factorsWith = (attributes: readonly string[]): readonly Factor[] => [...BUILT_IN, ...attributes.map(factorNamed)];

export const factorNamed = (name: FactorName): Factor => BUILT_IN.find((factor) => factor.name === name) ?? ofAttribute(name);

/** In alerts a model is a model, whether it is asked for or answers. */
export const toldAs = (name: FactorName): FactorName => (name === requestModel.name ? model.name : name);

/** Those that bring a version with them now and then: a version that ships with its model has no earlier calls on it. */
export const CARRIERS: readonly FactorName[] = [requestModel, model, provider].map(({ name }) => name);

/** The factor, with strata in which versions that came with the candidate are beside the one that they are compared with. */
export function carrying(factor: Factor, carried: Carried | null): Factor {
  if (carried === null) return factor;
  const came = new Set(carried.versions);
  return { ...factor, familyOf: (seen, measured) => factor.familyOf(came.has(seen.version) ? { ...seen, version: carried.as } : seen, measured) };
}

export type ArmNames = { readonly group: string; readonly baseline: string; readonly candidate: string };

/** The arm of an observation in a comparison of two values of a factor; null: of neither. */
export function armOf(factor: Factor, arms: ArmNames, seen: Seen): 'a' | 'b' | null {
  if (factor.groupOf(seen) !== arms.group) return null;
  const value = factor.valueOf(seen);
  return value === arms.candidate ? 'b' : value === arms.baseline ? 'a' : null;
}

/** Whether it may be of either arm: a failed call often names no model, and not who served it. */
export function saysNothing(factor: Factor, group: string, seen: Seen): boolean {
  return factor.groupOf(seen) === group && (factor.valueOf(seen) === '' || (factor.name === 'model' && seen.response_model === seen.request_model));
}
