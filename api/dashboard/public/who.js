import { h } from './element.js';
import { askPassword } from './password.js';
import { act, logOut, readJson } from './request.js';

/** Who is logged in, in the bar: name, project, the own password where there is one, and the way out. Nothing where nobody has to say who they are. */
export async function showWho(place) {
  const me = await readJson('/v1/me').catch(() => null);
  if (me === null || me.kind === 'anyone') return;
  const rights = me.scopes.includes('admin') ? 'admin' : me.scopes.includes('act') ? 'responder' : 'viewer';
  place.replaceChildren(
    me.projects.length > 1
      ? h('select', { 'aria-label': 'Project', onchange: (event) => changeProject(event.target.value) }, me.projects.map((project) => h('option', { value: project, selected: project === me.project }, project)))
      : h('span', { class: 'mute' }, me.project),
    h('span', { title: rights }, me.name),
    ...(me.has_password ? [h('button', { type: 'button', class: 'pick', onclick: askPassword }, 'Password…')] : []),
    h('button', { type: 'button', class: 'pick', onclick: logOut }, 'Log out'));
}

async function changeProject(project) {
  await act('/v1/me/project', { project });
  location.assign('/');
}
