import { h, link } from './element.js';
import { count, duration, quantity } from './format.js';

/** What an empty page says: exactly how to send, what has come so far, and what was understood of the first call. */

function randomHex(bytes) {
  return [...crypto.getRandomValues(new Uint8Array(bytes))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Where a key belongs that `culprit keys create` made. */
const key = 'YOUR_API_KEY';

/** Made once a visit, so that a redraw does not change what somebody is copying. */
let example = null;

function curlExample(endpoint, { nowMs, needsKey }) {
  const attribute = (key, value) => ({ key, value: typeof value === 'number' ? { intValue: String(value) } : { stringValue: value } });
  const attributes = [
    attribute('gen_ai.operation.name', 'chat'),
    attribute('gen_ai.provider.name', 'openai'),
    attribute('gen_ai.request.model', 'gpt-4o'),
    attribute('gen_ai.prompt.name', 'hello'),
    attribute('gen_ai.prompt.version', 'v1'),
    attribute('gen_ai.usage.input_tokens', 120),
    attribute('gen_ai.usage.output_tokens', 40),
  ];
  const service = JSON.stringify(attribute('service.name', 'try-out'));
  const span = JSON.stringify({ traceId: randomHex(16), spanId: randomHex(8), name: 'chat gpt-4o', kind: 3 }).slice(0, -1);
  return [
    `curl ${endpoint}/v1/traces -H 'content-type: application/json' ${needsKey ? `-H 'x-api-key: ${key}' ` : ''}-d '`,
    `{"resourceSpans":[{"resource":{"attributes":[${service}]},`,
    ` "scopeSpans":[{"scope":{"name":"curl"},"spans":[`,
    `  ${span},`,
    `   "startTimeUnixNano":"${nowMs - 900}000000","endTimeUnixNano":"${nowMs}000000","attributes":[`,
    attributes.map((one) => `    ${JSON.stringify(one)}`).join(',\n'),
    `   ]}]}]}]}'`,
  ].join('\n');
}

function codeBlock(text, label) {
  const button = h('button', { type: 'button', class: 'copy', 'aria-label': `Copy: ${label}`, onclick: async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = 'Copied';
    } catch {
      button.textContent = 'Select and copy';
    }
  } }, 'Copy');
  return h('div', { class: 'code' }, h('pre', { tabindex: '0', 'aria-label': label }, text), button);
}

export function firstRun({ ledger, status, nowMs }) {
  const endpoint = status.ingest_url ?? location.origin;
  example ??= curlExample(endpoint, { nowMs, needsKey: status.needs_key });
  const step = (title, ...children) => h('li', null, h('h2', null, title), children);
  const attribute = (name, text) => [h('dt', null, h('code', null, name)), h('dd', null, text)];
  return h('div', { class: 'first' },
    h('p', { class: 'waiting' }, h('span', { class: 'pulse', 'aria-hidden': 'true' }), ledger.received === 0 ? 'Listening. Nothing has come yet.' : `${count(ledger.received)} spans and records have come, no LLM call among them.`),
    h('h1', { tabindex: '-1' }, 'Waiting for the first span'),
    h('p', { class: 'lead' }, 'Send OpenTelemetry traces of your LLM calls here. This page shows the first one the moment it arrives.'),
    ledger.received === 0 ? null : h('p', { class: 'notice' }, 'What became of them: ', [...ledger.by_outcome.ignored, ...ledger.by_outcome.rejected].slice(0, 5).map((entry, index) => `${index === 0 ? '' : '; '}${count(entry.count)} × ${entry.reason}`), '. ', link('/data', null, 'All of it')),
    h('ol', { class: 'steps' },
      step('Point your exporter here', h('p', null, 'Any OpenTelemetry SDK or Collector, over HTTP:'), codeBlock(`OTEL_EXPORTER_OTLP_ENDPOINT=${endpoint}\nOTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf${status.needs_key ? `\nOTEL_EXPORTER_OTLP_HEADERS=x-api-key=${key}` : ''}`, 'environment of your service')),
      step('Set three attributes on every LLM span', h('dl', { class: 'attributes' },
        attribute('gen_ai.prompt.name', 'which prompt it was: refund-agent'),
        attribute('gen_ai.prompt.version', 'which version of it: v2, a date, a commit'),
        attribute('gen_ai.request.model', 'which model was asked; most instrumentations set it already')),
        h('p', { class: 'mute' }, 'The attributes of Langfuse, OpenInference, OpenLLMetry and others are read as they are.')),
      step('Or try it now', codeBlock(example, 'curl command'))));
}

/** The first call, and which of the three attributes it lacks. */
export function firstSpan(call) {
  const checks = [
    ['gen_ai.prompt.name', call.prompt_name],
    ['gen_ai.prompt.version', call.prompt_version],
    ['gen_ai.request.model', call.request_model ?? call.response_model],
  ];
  const facts = [call.duration_ms === null ? null : duration(call.duration_ms) === '0\u202fs' || call.duration_ms < 60_000 ? quantity('latency', call.duration_ms) : duration(call.duration_ms), call.output_tokens === null ? null : `${count(call.output_tokens)} tokens out`, call.cost_usd === null ? null : quantity('cost', call.cost_usd), call.is_error ? `failed: ${call.error_type ?? 'error'}` : null].filter((fact) => fact !== null);
  return h('section', { class: 'card arrived', 'aria-label': 'The first span' },
    h('h2', null, 'The first span is here'),
    h('ul', { class: 'checks' }, checks.map(([name, value]) => h('li', null, h('span', { class: value === null ? 'bad' : 'ok', 'aria-hidden': 'true' }, value === null ? '✗' : '✓'), h('code', null, name), ' ', value === null ? h('b', { class: 'bad' }, 'missing') : h('b', null, value)))),
    h('p', { class: 'mute' }, `${facts.join(', ')}${facts.length === 0 ? '' : '. '}Read as ${call.dialect}. `, link(`/v1/calls?trace_id=${encodeURIComponent(call.trace_id)}`, null, 'The whole record')));
}
