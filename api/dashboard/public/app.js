import { loadAlert, renderAlert } from './alert.js';
import { loadCompare, renderCompare } from './compare.js';
import { loadData, renderData } from './data.js';
import { h, link } from './element.js';
import { duration } from './format.js';
import { loadAlerts, loadHome, renderAlerts, renderHome } from './home.js';
import { createLive } from './live.js';
import { loadPrompt, renderPrompt } from './prompt.js';
import { loadQuery, renderQuery } from './query.js';
import { showWho } from './who.js';

/**
 * The page: a path is a view, a view is `load` (reads the API) and `render` (data to nodes). It is drawn anew when something
 * changes; what a person holds (focus, opened tables, the chosen metric) outlives the drawing.
 */
const views = [
  { pattern: /^\/$/, load: loadHome, render: renderHome },
  { pattern: /^\/alerts$/, load: loadAlerts, render: renderAlerts },
  { pattern: /^\/alerts\/(.+)$/, name: 'id', load: loadAlert, render: renderAlert },
  { pattern: /^\/prompts\/(.+)$/, name: 'name', load: loadPrompt, render: renderPrompt },
  { pattern: /^\/compare$/, load: loadCompare, render: renderCompare },
  { pattern: /^\/query$/, load: loadQuery, render: renderQuery, isStill: true },
  { pattern: /^\/data$/, load: loadData, render: renderData },
];

const main = document.getElementById('main');
const announcement = document.getElementById('announcement');
/** What was chosen in the view that is shown; forgotten when one leaves it. */
let choice = {};
/** Readings of views that were begun, and the latest that is shown, or that a navigation began: a slow answer of one that was begun before it is dropped. */
let begun = 0;
let current = 0;

function viewOf(path) {
  for (const view of views) {
    const match = view.pattern.exec(path);
    if (match === null) continue;
    try {
      return { view, parameters: view.name === undefined ? {} : { [view.name]: decodeURIComponent(match[1]) } };
    } catch {
      return null;
    }
  }
  return null;
}

async function show({ isNew }) {
  const reading = (begun += 1);
  const isOvertaken = () => reading < current;
  const found = viewOf(location.pathname);
  if (isNew) {
    current = reading;
    choice = {};
    main.setAttribute('aria-busy', 'true');
    main.replaceChildren(h('p', { class: 'loading' }, 'Loading…'));
  }
  if (found === null) {
    replace({ title: 'Not found', node: h('div', null, h('h1', { tabindex: '-1' }, 'There is no such page'), h('p', null, link('/', null, 'Overview'))) }, isNew);
    return;
  }
  try {
    const nowMs = Date.now();
    const data = await found.view.load({ ...found.parameters, query: new URLSearchParams(location.search), choice, nowMs });
    if (isOvertaken()) return;
    current = reading;
    replace(found.view.render(data, { nowMs, choose: (chosen) => { Object.assign(choice, chosen); return show({ isNew: false }); }, reload: () => show({ isNew: false }) }), isNew);
  } catch (error) {
    if (isOvertaken()) return;
    // A redraw that failed keeps what is on the screen: old figures are better than none, and the status says that they are old.
    if (!isNew && main.querySelector('h1') !== null) return;
    replace({
      title: 'Cannot be shown',
      node: h('div', { class: 'failed' }, h('h1', { tabindex: '-1' }, error.status === 404 ? 'There is nothing here' : 'This cannot be shown now'), h('p', { class: 'lead' }, error.message), h('p', null, h('button', { type: 'button', onclick: () => show({ isNew: true }) }, 'Try again'), ' ', link('/', null, 'Overview'))),
    }, isNew);
  }
}

function replace({ title, node }, isNew) {
  const heldKey = document.activeElement?.closest('[data-key]')?.getAttribute('data-key') ?? null;
  const openKeys = [...main.querySelectorAll('details[open][data-key]')].map((details) => details.getAttribute('data-key'));
  document.title = title === 'Overview' ? 'Culprit' : `${title} · Culprit`;
  main.removeAttribute('aria-busy');
  main.replaceChildren(node);
  for (const anchor of document.querySelectorAll('.bar nav a')) {
    const path = anchor.getAttribute('href');
    if (path === location.pathname || (path === '/alerts' && location.pathname.startsWith('/alerts/'))) anchor.setAttribute('aria-current', 'page');
    else anchor.removeAttribute('aria-current');
  }
  if (isNew) return;
  for (const element of main.querySelectorAll('[data-key]')) {
    const key = element.getAttribute('data-key');
    if (openKeys.includes(key)) element.open = true;
    if (key === heldKey) element.focus({ preventScroll: true });
  }
}

async function go(address, { isBack = false } = {}) {
  if (!isBack) history.pushState(null, '', address);
  await show({ isNew: true });
  scrollTo(0, 0);
  main.querySelector('h1')?.focus({ preventScroll: true });
}

document.addEventListener('click', (event) => {
  const anchor = event.target instanceof Element ? event.target.closest('a[href]') : null;
  if (anchor === null || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const url = new URL(anchor.href);
  if (url.origin !== location.origin || anchor.target !== '' || anchor.hasAttribute('download') || viewOf(url.pathname) === null || url.hash !== '') return;
  event.preventDefault();
  void go(url.pathname + url.search);
});
addEventListener('popstate', () => void go(location.href, { isBack: true }));

createLive({
  onChange: async (kinds) => {
    // Nobody's sentence is taken away while it is written.
    if (document.querySelector('dialog[open]') !== null) return;
    if (kinds.has('alert')) announcement.textContent = 'An alert changed.';
    // Nor is what somebody asked for asked again behind their back.
    if (viewOf(location.pathname)?.view.isStill === true || document.activeElement?.closest('form') != null) return;
    await show({ isNew: false });
  },
  onState: ({ state, behindMs, isNew }) => {
    const live = document.getElementById('live');
    live.dataset.state = state;
    const text = state === 'live' ? (behindMs === null || behindMs < 1000 ? 'live' : `live, ${duration(behindMs)} behind`) : 'connection lost, trying again';
    document.getElementById('live-text').textContent = text;
    if (isNew && state === 'lost') announcement.textContent = 'The connection is lost; what you see may be old.';
  },
});
void show({ isNew: true });
void showWho(document.getElementById('me'));
