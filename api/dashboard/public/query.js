import { h, scrolling } from './element.js';
import { count, counted } from './format.js';
import { readPost } from './request.js';

/** A question in SQL, its answer as a table, and as a file. What is written outlives a redraw. */

const shownRows = 500;
const questions = [
  ['Versions of the last day', 'SELECT prompt_name, prompt_version, count() AS calls, round(avg(is_error), 4) AS error_rate,\n       round(quantile(0.95)(latency_ms)) AS p95_ms\nFROM llm_calls\nWHERE time > now() - INTERVAL 1 DAY\nGROUP BY prompt_name, prompt_version\nORDER BY calls DESC\nLIMIT 100'],
  ['What failed', "SELECT time, prompt_name, prompt_version, request_model, error_type, trace_id\nFROM llm_calls\nWHERE is_error AND time > now() - INTERVAL 1 DAY\nORDER BY time DESC\nLIMIT 100"],
  ['Cost by model', 'SELECT toStartOfHour(time) AS hour, request_model, round(sum(cost_usd), 4) AS usd\nFROM llm_calls\nWHERE time > now() - INTERVAL 1 DAY\nGROUP BY hour, request_model\nORDER BY hour, usd DESC'],
];

let written = questions[0][1];
let answered = null;

export async function loadQuery() {
  return null;
}

export function renderQuery(_data, { reload }) {
  const status = h('p', { class: 'mute', role: 'status' });
  const box = h('textarea', { id: 'sql', rows: '9', spellcheck: 'false', autocapitalize: 'off', 'data-key': 'sql', 'aria-describedby': 'sql-help', oninput: (event) => { written = event.target.value; }, onkeydown: (event) => {
    if (event.key === 'Enter' && (event.metaKey || event.ctrlKey)) void run();
  } });
  box.value = written;
  const run = async () => {
    status.textContent = 'Asking…';
    const beganMs = performance.now();
    try {
      const response = await readPost('/v1/query', { sql: written, format: 'json' });
      answered = { ...(await response.json()), ms: performance.now() - beganMs };
      await reload();
      document.querySelector('.answer')?.focus();
    } catch (error) {
      status.textContent = error.message;
    }
  };
  const download = async () => {
    status.textContent = 'Asking…';
    try {
      const address = URL.createObjectURL(await (await readPost('/v1/query', { sql: written, format: 'csv' })).blob());
      h('a', { href: address, download: 'query.csv' }).click();
      setTimeout(() => URL.revokeObjectURL(address), 10_000);
      status.textContent = 'query.csv is saved.';
    } catch (error) {
      status.textContent = error.message;
    }
  };
  return {
    title: 'SQL',
    node: h('div', { class: 'sql' },
      h('h1', { tabindex: '-1' }, 'Ask in SQL'),
      h('p', { class: 'lead', id: 'sql-help' }, 'One SELECT over ', ['llm_calls', 'llm_scores', 'llm_comparisons', 'llm_evidence', 'llm_alerts', 'llm_versions', 'llm_hours'].map((name, index) => [index === 0 ? '' : ', ', h('code', null, name)]), '. It only reads, for 20 s at most.'),
      h('p', { class: 'examples-of' }, 'For example: ', questions.map(([name, sql], index) => [index === 0 ? '' : ' · ', h('button', { type: 'button', class: 'pick', 'data-key': `example ${index}`, onclick: () => { written = sql; box.value = sql; box.focus(); } }, name)])),
      h('label', { for: 'sql', class: 'unseen' }, 'SQL'),
      box,
      h('div', { class: 'buttons' }, h('button', { type: 'button', class: 'go', 'data-key': 'run', onclick: run }, 'Run'), h('button', { type: 'button', 'data-key': 'csv', onclick: download }, 'Save as CSV'), h('small', null, 'Ctrl or ⌘ and Enter runs it')),
      status,
      answered === null ? null : answerOf(answered)),
  };
}

function answerOf({ meta, data, rows, ms }) {
  const shown = data.slice(0, shownRows);
  const isNumber = meta.map(({ type }) => /^(Nullable\()?(U?Int|Float|Decimal)/.test(type));
  return h('section', { class: 'answer', tabindex: '-1' },
    h('h2', null, counted(rows, 'row'), h('small', null, ` in ${count(ms)} ms${rows > shown.length ? `, the first ${count(shown.length)} are shown; the file has all` : ''}`)),
    scrolling('Answer', h('table', null,
      h('thead', null, h('tr', null, meta.map(({ name, type }, index) => h('th', { scope: 'col', title: type, class: isNumber[index] ? 'number' : null }, name)))),
      h('tbody', null, shown.map((row) => h('tr', null, row.map((value, index) => h('td', { class: isNumber[index] ? 'number' : null }, textOf(value)))))))));
}

function textOf(value) {
  if (value === null) return h('span', { class: 'mute' }, 'NULL');
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
  return text.length > 160 ? h('span', { title: text.slice(0, 4000) }, `${text.slice(0, 160)}…`) : text;
}
