import { intervalBar } from './chart.js';
import { h, link } from './element.js';
import { change, count, duration, metricName, percent, quantity } from './format.js';
import { readJson } from './request.js';

/** Any two versions, models, slices or periods of a prompt: asked by an address, so that it can be sent to somebody. Exploratory, and said so. */

const asked = ['prompt', 'factor', 'attribute', 'a', 'b', 'metric', 'environment', 'from', 'to'];
const windows = [['1 hour', 3_600_000], ['24 hours', 86_400_000], ['7 days', 604_800_000], ['30 days', 2_592_000_000]];
const examples = { prompt_version: 'v1', model: 'gpt-4o-2024-08-06', slice: '/chat', period: '2026-06-01T08:00Z/2026-06-01T09:00Z' };
const metrics = ['error_rate', 'latency', 'ttft', 'cost', 'format', 'truncated', 'content_filter', 'empty', 'input_tokens', 'output_tokens'];

export async function loadCompare({ query, nowMs }) {
  const form = Object.fromEntries(asked.map((name) => [name, query.get(name) ?? '']));
  const windowMs = Number(query.get('window') ?? 86_400_000);
  const overview = await readJson('/v1/prompts?limit=500').catch(() => ({ prompts: [] }));
  const isWhole = form.prompt !== '' && form.a !== '' && form.b !== '';
  if (!isWhole) return { form, windowMs, overview, found: null };
  const parameters = new URLSearchParams(Object.entries(form).filter(([, value]) => value !== ''));
  if (form.from === '' && form.factor !== 'period' && Number.isFinite(windowMs)) parameters.set('from', String(Math.max(0, Math.floor(nowMs - windowMs))));
  return { form, windowMs, overview, found: await readJson(`/v1/compare?${parameters}`).catch((error) => ({ error })) };
}

export function renderCompare({ form, windowMs, overview, found }) {
  return {
    title: 'Compare',
    node: h('div', { class: 'compare' },
      h('h1', { tabindex: '-1' }, 'Compare any two'),
      h('p', { class: 'lead' }, 'Versions, models, slices or periods of a prompt, within the same minutes, model and route where that can be. It stakes nothing and pages nobody.'),
      formOf({ form, windowMs, overview }),
      found === null ? null : found.error !== undefined ? h('p', { class: 'notice', role: 'status' }, found.error.message) : resultOf(found, form)),
  };
}

function formOf({ form, windowMs, overview }) {
  const field = (name, text, control) => h('div', { class: 'field' }, h('label', { for: `compare-${name}` }, text), control);
  const input = (name, attributes) => h('input', { id: `compare-${name}`, name, value: form[name], 'data-key': `compare ${name}`, autocomplete: 'off', maxlength: '512', ...attributes });
  const factor = form.factor === '' ? 'prompt_version' : form.factor;
  const prompts = [...new Set(overview.prompts.map((prompt) => prompt.name))];
  const own = overview.prompts.filter((prompt) => prompt.name === form.prompt);
  const values = factor === 'model' ? own.flatMap((prompt) => prompt.models) : factor === 'period' || factor === 'slice' ? [] : own.flatMap((prompt) => prompt.versions.map((version) => version.version));
  const list = (id, items) => h('datalist', { id }, [...new Set(items)].slice(0, 500).map((value) => h('option', { value })));
  const attribute = field('attribute', 'By attribute', input('attribute', { placeholder: 'app.route' }));
  const showAttribute = (value) => {
    attribute.hidden = value !== 'slice';
    // What is not asked for is not sent.
    attribute.querySelector('input').disabled = attribute.hidden;
  };
  showAttribute(factor);
  return h('form', { class: 'asking', action: '/compare', method: 'get', onsubmit: (event) => {
    event.preventDefault();
    const said = new URLSearchParams([...new FormData(event.target)].map(([name, value]) => [name, String(value).trim()]).filter(([, value]) => value !== ''));
    history.pushState(null, '', `/compare?${said}`);
    dispatchEvent(new PopStateEvent('popstate'));
  } },
    field('prompt', 'Prompt', input('prompt', { required: true, list: 'compare-prompts' })), list('compare-prompts', prompts),
    field('factor', 'What', h('select', { id: 'compare-factor', name: 'factor', onchange: ({ target }) => showAttribute(target.value) }, [['prompt_version', 'versions'], ['model', 'models'], ['slice', 'slices'], ['period', 'periods']].map(([value, text]) => h('option', { value, selected: value === factor }, text)))),
    attribute,
    field('a', 'This', input('a', { required: true, list: 'compare-values', placeholder: examples[factor] ?? '' })),
    field('b', 'Against that', input('b', { required: true, list: 'compare-values' })), list('compare-values', values),
    field('metric', 'Metric', input('metric', { list: 'compare-metrics', placeholder: 'error_rate' })), list('compare-metrics', metrics),
    field('environment', 'Environment', input('environment', { placeholder: 'production' })),
    field('window', 'In the last', h('select', { id: 'compare-window', name: 'window' }, windows.map(([text, ms]) => h('option', { value: String(ms), selected: ms === windowMs }, text)))),
    h('button', { type: 'submit', class: 'go' }, 'Compare'));
}

function resultOf(found, form) {
  const { metric, a, b, effects, units, strata } = found;
  const kind = (a ?? b)?.kind;
  const quantiles = kind === 'distribution' ? ['p50', 'p95'] : [];
  const row = (name, tone, arm, own) => h('tr', null,
    h('th', { scope: 'row', class: tone }, h('span', { class: 'clip', title: name }, name)),
    h('td', { class: 'number' }, arm === null || arm.value === null ? '–' : quantity(metric, arm.value, kind)),
    h('td', { class: 'mute' }, arm === null || arm.low === null ? 'no bound yet' : `${quantity(metric, arm.low, kind)} to ${quantity(metric, arm.high, kind)}`),
    quantiles.map((quantile) => h('td', { class: 'number' }, arm === null || arm[quantile] === null ? '–' : quantity(metric, arm[quantile], kind))),
    h('td', { class: 'number' }, count(arm?.n ?? 0)),
    h('td', { class: 'number' }, count(own)));
  return h('section', { class: 'found' },
    h('div', { role: 'status' }, h('h2', null, h('span', { class: 'chip mid' }, 'Exploratory'), ' ', found.says)),
    h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Each by itself' }, h('table', { class: 'versions' },
      h('thead', null, h('tr', null, ['', metricName(metric), '95 % interval', ...quantiles, 'Calls', 'Units'].map((text, index) => h('th', { scope: 'col', class: index === 0 || index === 2 ? null : 'number' }, text === '' ? h('span', { class: 'unseen' }, 'Which') : text)))),
      h('tbody', null, row(form.a, 'tone-a', a, units.a), row(form.b, 'tone-c', b, units.b)))),
    effects.map((effect) => effectOf(effect, { metric, direction: (a ?? b)?.direction ?? 'up' })),
    h('p', { class: 'mute' }, `${strata.window_seconds !== null ? `Within the same ${duration(strata.window_seconds * 1000)}, model and route` : 'Within the same model and route, at different times'}: ${count(strata.both)} of ${count(strata.all)} strata have both`, strata.compared_share === null ? '.' : `, with ${percent(strata.compared_share)} of the units.`),
    h('ul', { class: 'caveats' }, found.caveats.map((text) => h('li', null, text))),
    h('p', null, link(`/prompts/${encodeURIComponent(found.prompt)}`, null, 'The prompt'), ' · ', link(`/v1/compare?${new URLSearchParams(Object.entries({ prompt: found.prompt, a: form.a, b: form.b, factor: found.factor, ...(form.attribute === '' ? {} : { attribute: form.attribute }), metric, environment: found.environment, ...(found.factor === 'period' ? {} : { from: String(found.from_ms), to: String(found.to_ms) }) }))}`, null, 'As JSON')));
}

const effectNames = { difference: 'Difference', odds_ratio: 'Odds', ratio_p50: 'p50', ratio_p95: 'p95', ratio_p99: 'p99' };

function effectOf(effect, { metric, direction }) {
  const flip = direction === 'up' ? 1 : -1;
  const badness = (value) => flip * (effect.kind === 'difference' ? value : Math.log(Math.max(value, 1e-9)));
  return h('div', { class: 'effect' },
    h('b', null, effectNames[effect.kind]), h('span', { class: 'number' }, change(effect, effect.estimate, metric)),
    intervalBar({ effect, badness, tolerated: 0, tone: 'mute' }),
    h('span', { class: 'mute' }, effect.low === null || effect.high === null ? 'no bound yet' : `${change(effect, effect.low, metric, false)} to ${change(effect, effect.high, metric)}`));
}
