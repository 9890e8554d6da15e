import { h } from './element.js';
import { act } from './request.js';

/** The dialog in which people change their own password. What was typed stays until it is done. */
export function askPassword() {
  const field = (name, label, autocomplete, more) => [h('label', { for: name }, label), h('input', { id: name, type: 'password', autocomplete, required: true, maxlength: '1024', ...more })];
  const old = field('password-old', 'Present password', 'current-password', null);
  const next = field('password-new', 'New password', 'new-password', { minlength: '12', 'aria-describedby': 'password-rule' });
  const again = field('password-again', 'The new one again', 'new-password', null);
  const [oldInput, nextInput, againInput] = [old, next, again].map(([, input]) => input);
  const title = h('h2', { id: 'password-title' }, 'Change your password');
  const fault = h('p', { class: 'bad', role: 'alert' });
  const close = h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel');
  const form = h('form', { onsubmit: async (event) => {
    event.preventDefault();
    if (nextInput.value !== againInput.value) {
      fault.textContent = 'The two new passwords differ.';
      againInput.focus();
      return;
    }
    try {
      await act('/v1/me/password', { old_password: oldInput.value, new_password: nextInput.value });
      close.textContent = 'Close';
      form.replaceChildren(title, h('p', { role: 'status' }, 'Your password is changed. Wherever else you were logged in, you are logged out.'), h('div', { class: 'buttons' }, close));
      close.focus();
    } catch (error) {
      fault.textContent = `Not done: ${error.message}`;
    }
  } },
    title,
    h('p', { class: 'mute', id: 'password-rule' }, '12 characters at least. Wherever else you are logged in, you will be logged out.'),
    old, next, again, fault,
    h('div', { class: 'buttons' }, close, h('button', { type: 'submit', class: 'go' }, 'Change')));
  const dialog = h('dialog', { 'aria-labelledby': 'password-title' }, form);
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
