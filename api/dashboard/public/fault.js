import { actions, chip, examples, headline, history } from './alert.js';
import { card, h, link, stamp } from './element.js';
import { metricName, quantity } from './format.js';

/** An alert on Culprit itself: what is wrong, since when, what to do. Nothing of it is inferred, so there is no evidence to weigh. */
export function renderFault(alert, { traceUrl, nowMs, reload }) {
  const { metric, evidence, culprit } = alert;
  return {
    title: headline(alert),
    node: h('div', { class: 'alert' },
      h('div', { class: 'top' },
        h('div', null,
          chip(alert, nowMs),
          h('h1', { tabindex: '-1' }, headline(alert)),
          h('p', { class: 'lead' }, h('b', { class: 'tone-b' }, quantity(metric, evidence.candidate.value)), ` ${metricName(metric).toLowerCase()} when it was raised, since `, h('b', null, stamp(Date.parse(alert.onset), nowMs)), '.')),
        actions(alert, reload)),
      h('div', { class: 'evidence' },
        h('section', null, h('h2', null, 'What to do'), h('p', null, alert.advice ?? ''), h('p', null, link('/data', null, 'What became of everything received'))),
        history(alert, nowMs)),
      h('aside', { 'aria-label': 'Where, and examples' },
        card('A fault of Culprit itself', null,
          h('p', null, alert.summary),
          h('dl', { class: 'facts' },
            [['normally', culprit.baseline], alert.prompt && ['prompt', link(`/prompts/${encodeURIComponent(alert.prompt)}`, null, alert.prompt)], ['environment', alert.environment], ['project', alert.project]].filter(Boolean).map(([name, value]) => h('div', null, h('dt', null, name), h('dd', null, value))))),
        alert.examples.length === 0 ? null : examples(alert, traceUrl)),
    ),
  };
}
