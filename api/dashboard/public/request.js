import { h } from './element.js';

let isLoggingOut = false;

/** Whatever is refused meanwhile does not lead back here, where the next person would land. */
export async function logOut() {
  isLoggingOut = true;
  try {
    await fetch('/logout', { method: 'POST', redirect: 'manual' });
    location.assign('/login');
  } catch (error) {
    isLoggingOut = false;
    throw error;
  }
}

/** Reads and acts through the API. A refusal is an Error whose message is the problem's detail. */
async function answerOf(response) {
  const body = await response.json().catch(() => null);
  if (response.ok) return body;
  // The login is over: back here after the next one.
  if (response.status === 401 && !isLoggingOut) location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  const error = new Error(body?.detail ?? `the server answered ${response.status}`);
  error.status = response.status;
  throw error;
}

export async function readJson(path) {
  return answerOf(await fetch(path, { headers: { accept: 'application/json' }, signal: AbortSignal.timeout(40_000) }));
}

export async function act(path, body) {
  return answerOf(await fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body), signal: AbortSignal.timeout(40_000) }));
}

/** A question that is asked by POST; the answer as it comes. */
export async function readPost(path, body) {
  const response = await fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body), signal: AbortSignal.timeout(60_000) });
  if (!response.ok) await answerOf(response);
  return response;
}

/** Asks for one line of text in a modal dialog; Escape leaves it. */
export function ask({ title, text, label, submit, onSubmit }) {
  const input = h('textarea', { id: 'ask-text', rows: '3', maxlength: '900', required: true });
  const dialog = h('dialog', { 'aria-labelledby': 'ask-title' },
    h('form', { onsubmit: (event) => {
      event.preventDefault();
      const reason = input.value.trim();
      if (reason === '') return;
      dialog.close();
      onSubmit(reason);
    } },
      h('h2', { id: 'ask-title' }, title),
      h('p', { class: 'mute' }, text),
      h('label', { for: 'ask-text' }, label),
      input,
      h('div', { class: 'buttons' }, h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel'), h('button', { type: 'submit', class: 'go' }, submit))));
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
