import { h, link, stamp } from './element.js';
import { versionName } from './format.js';

/** What happened to the versions of a prompt, newest first, with who did it. */

const kinds = { registered: () => 'registered', label_set: ({ label }) => `got the label ${label}`, label_removed: ({ label }) => `lost the label ${label}`, deleted: () => 'deleted', changed: () => 'changed' };

export function timelineSection(events, nowMs) {
  if (events.length === 0) return null;
  return h('section', { class: 'past' }, h('h2', null, 'What happened to versions'), h('ol', null, events.map((event) => {
    const { facts, actor, source } = event;
    return h('li', null,
      stamp(event.at_ms, nowMs),
      h('b', { class: 'clip', title: event.version }, versionName(event.version)),
      h('span', null, (kinds[event.kind] ?? (() => event.kind))(event), facts.message === undefined ? null : `: ${facts.message}`, ' ', h('span', { class: 'mute' }, [actor ?? facts.author, `by ${source}`].filter(Boolean).join(', ')), ' ',
        facts.pull_request_url === undefined ? null : link(facts.pull_request_url, null, 'pull request ↗'), ' ', facts.diff_url === undefined ? null : link(facts.diff_url, null, 'diff ↗')));
  })));
}
