import { h, s, scrolling } from './element.js';
import { clockOf, tick as tickText, timeInFull } from './format.js';
import { linearScale, logScale, timeTicks } from './scale.js';

/**
 * Charts over time, drawn by hand at the width they are shown in, so that text never shrinks. Each has a readout that follows the
 * pointer and the arrow keys, a sentence for those who do not see it, and its numbers as a table.
 *
 * line: { name, end (its label, else the name), tone: 'a'…'e' or 'ink', points: [{ at, value, low, high }], stepMs }; null bounds: no band there.
 */
const margin = { top: 16, right: 50, bottom: 22, left: 50 };
/** Of a name at the end of a line, in pixels, as the wide ones have it. */
const CHARACTER_WIDTH = 9;

/** Charts that share one cursor show the same moment. */
export function createCursor() {
  const listeners = new Set();
  return {
    follow: (listener) => listeners.add(listener),
    move: (atMs) => listeners.forEach((listener) => listener(atMs)),
  };
}

export function timeChart({ title, note = null, sentence, from, to, height = 190, lines, format, isLog = false, marks = [], threshold = null, dot = null, cursor = createCursor(), isSmall = false, level = 'h2', key }) {
  const shown = lines.filter((line) => line.points.length > 0);
  const readout = h('output', { class: 'readout', 'aria-live': 'off' });
  const host = h('div', isSmall ? { class: 'plot' } : { class: 'plot', tabindex: '0', role: 'group', 'aria-label': `${title}. Left and right move along time.`, 'data-key': `plot ${key ?? title}` });
  const times = [...new Set(shown.flatMap((line) => line.points.map((point) => point.at)))].sort((one, other) => one - other);
  let move = (_atMs) => {};
  if (shown.length === 0) host.append(h('p', { class: 'mute empty' }, 'Nothing was measured here yet.'));
  else {
    onWidth(host, (width) => {
      const drawn = draw({ width, height, shown, from, to, format, isLog, marks, threshold, dot, sentence, isSmall });
      host.replaceChildren(drawn.svg);
      move = (atMs) => {
        drawn.move(atMs);
        readout.replaceChildren(...(atMs === null ? [] : readoutOf(shown, { atMs, reachMs: (to - from) / 40, format })));
      };
      host.onpointermove = (event) => cursor.move(nearest(times, drawn.timeAt(event.clientX - host.getBoundingClientRect().left)));
    });
    host.onpointerleave = () => cursor.move(null);
    cursor.follow((atMs) => move(atMs));
    let index = times.length;
    host.onkeydown = (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, Home: -times.length, End: times.length }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      index = Math.min(times.length - 1, Math.max(0, index + step));
      readout.setAttribute('aria-live', 'polite');
      cursor.move(times[index]);
    };
    host.onblur = () => cursor.move(null);
  }
  return h(
    'figure',
    { class: isSmall ? 'chart small' : 'chart' },
    h('figcaption', null, h(level, null, title, note ? h('small', null, ' ', note) : null), readout),
    host,
    shown.length === 0 ? null : numbers({ title, shown, times, format, key: key ?? title }),
  );
}

/** The point nearest to a moment: charts that share a cursor have buckets and looks of their own. */
function pointAt(line, atMs, reachMs) {
  const point = line.points.reduce((best, candidate) => (best === undefined || Math.abs(candidate.at - atMs) < Math.abs(best.at - atMs) ? candidate : best), undefined);
  return point === undefined || Math.abs(point.at - atMs) > reachMs ? undefined : point;
}

function readoutOf(lines, { atMs, reachMs, format }) {
  const parts = lines.map((line) => {
    const point = pointAt(line, atMs, reachMs);
    if (point === undefined) return null;
    const bounds = point.low === null || point.low === undefined || point.high === null ? null : h('span', { class: 'mute' }, ` ${format(point.low)} to ${format(point.high)}`);
    return h('span', { class: `tone-${line.tone}` }, h('b', null, line.name), ' ', format(point.value), bounds);
  });
  return [h('time', { class: 'mute' }, clockOf(atMs)), ...parts.filter((part) => part !== null)];
}

function numbers({ title, shown, times, format, key }) {
  const details = h('details', { class: 'numbers', 'data-key': `numbers ${key}` }, h('summary', null, 'Numbers', h('span', { class: 'unseen' }, ` of ${title}`)));
  // Made when it is opened: a page of ten charts has thousands of cells that nobody looks at.
  details.addEventListener('toggle', () => {
    if (!details.open || details.querySelector('table') !== null) return;
    const cell = (line, at) => {
      const point = line.points.find((candidate) => candidate.at === at);
      if (point === undefined) return '–';
      return point.low === null || point.low === undefined || point.high === null ? format(point.value) : `${format(point.value)} (${format(point.low)} to ${format(point.high)})`;
    };
    details.append(
      scrolling(
        `Numbers of ${title}`,
        h('table', null,
          h('thead', null, h('tr', null, h('th', { scope: 'col' }, 'Time'), shown.map((line) => h('th', { scope: 'col' }, line.name)))),
          h('tbody', null, times.map((at) => h('tr', null, h('th', { scope: 'row' }, h('time', { datetime: new Date(at).toISOString(), title: timeInFull(at) }, clockOf(at))), shown.map((line) => h('td', null, cell(line, at))))))),
      ),
    );
  });
  return details;
}

function draw({ width, height, shown, from, to, format, isLog, marks, threshold, dot, sentence, isSmall }) {
  const left = margin.left;
  const ends = endTexts(shown);
  const right = width - Math.max(isSmall ? 34 : margin.right, 9 + CHARACTER_WIDTH * Math.max(...ends.map((text) => text.length)));
  const bottom = height - margin.bottom;
  const x = (at) => left + ((at - from) / Math.max(1, to - from)) * (right - left);
  const scale = isLog ? logScale(shown, threshold) : linearScale(shown, isSmall ? 3 : 4);
  const y = (value) => {
    const share = isLog ? (Math.log10(Math.max(value, 1e-300)) - scale.low) / (scale.high - scale.low) : (value - scale.low) / (scale.high - scale.low);
    // What leaves the plot is cut off at its edge, not bent along it.
    return bottom - Math.min(1.5, Math.max(-0.5, share)) * (bottom - margin.top);
  };
  const clip = `clip-${(drawings += 1)}`;
  const svg = s('svg', { width, height, viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': sentence });
  svg.append(s('clipPath', { id: clip }, s('rect', { x: left, y: margin.top - 2, width: Math.max(0, right - left), height: bottom - margin.top + 3 })));
  for (const tick of scale.ticks) {
    svg.append(s('line', { class: 'grid', x1: left, x2: right, y1: y(tick.value), y2: y(tick.value) }), s('text', { class: 'axis', x: left - 7, y: y(tick.value) + 4, 'text-anchor': 'end' }, tick.text ?? tickText(format(tick.value))));
  }
  for (const tick of timeTicks(from, to, Math.max(2, Math.floor((right - left) / 92))).filter((candidate) => isSmall || x(candidate.at) > 88)) svg.append(s('text', { class: 'axis', x: x(tick.at), y: height - 6, 'text-anchor': 'middle' }, tick.text));
  if (threshold !== null) {
    svg.append(s('line', { class: 'threshold', x1: left, x2: right, y1: y(threshold.value), y2: y(threshold.value) }), s('text', { class: 'note', x: left + 6, y: y(threshold.value) - 5 }, threshold.text));
  }
  const inside = s('g', { 'clip-path': `url(#${clip})` });
  for (const line of shown) for (const run of runsOf(line)) inside.append(...bandOf(run, line, x, y));
  for (const line of shown) for (const run of runsOf(line)) inside.append(...(run.length === 1 ? lonePoint(run[0], line, { x, y, right }) : [s('path', { class: `line tone-${line.tone}`, d: pathOf(run, x, y) })]));
  svg.append(inside);
  for (const mark of marks.filter((candidate) => candidate.at >= from && candidate.at <= to)) {
    const isLate = x(mark.at) > right - 150;
    svg.append(
      s('line', { class: `mark ${mark.kind ?? ''}`, x1: x(mark.at), x2: x(mark.at), y1: 4, y2: bottom }),
      mark.text ? s('text', { class: 'note', x: x(mark.at) + (isLate ? -6 : 6), y: 12, 'text-anchor': isLate ? 'end' : 'start' }, mark.text) : null,
    );
  }
  if (dot !== null && dot.at >= from && dot.at <= to) {
    const isLate = x(dot.at) > right - 110;
    svg.append(s('circle', { class: 'raised', cx: x(dot.at), cy: y(dot.value), r: 4.5 }), s('text', { class: 'note strong', x: x(dot.at) + (isLate ? -9 : 9), y: y(dot.value) + 15, 'text-anchor': isLate ? 'end' : 'start' }, dot.text));
  }
  for (const label of endLabels(shown, { ends, y, bottom })) svg.append(s('text', { class: `end tone-${label.tone}`, x: right + 5, y: label.y }, label.text));

  const hair = s('line', { class: 'hair', y1: margin.top, y2: bottom, visibility: 'hidden' });
  const spots = shown.map((line) => s('circle', { class: `spot tone-${line.tone}`, r: 3.5, visibility: 'hidden' }));
  svg.append(hair, ...spots);
  return {
    svg,
    timeAt: (pixels) => from + ((pixels - left) / Math.max(1, right - left)) * (to - from),
    move(atMs) {
      hair.setAttribute('visibility', atMs === null || atMs < from || atMs > to ? 'hidden' : 'visible');
      if (atMs !== null) for (const end of ['x1', 'x2']) hair.setAttribute(end, String(x(atMs)));
      shown.forEach((line, index) => {
        const point = atMs === null ? undefined : pointAt(line, atMs, (to - from) / 40);
        spots[index].setAttribute('visibility', point === undefined || y(point.value) < margin.top - 2 ? 'hidden' : 'visible');
        if (point !== undefined) {
          spots[index].setAttribute('cx', String(x(point.at)));
          spots[index].setAttribute('cy', String(y(point.value)));
        }
      });
    },
  };
}
let drawings = 0;

/** A gap of more than two steps is a gap, not a slope. */
function runsOf({ points, stepMs }) {
  const runs = [];
  for (const point of points) {
    const last = runs.at(-1)?.at(-1);
    if (last === undefined || (stepMs !== null && point.at - last.at > stepMs * 2.5)) runs.push([point]);
    else runs.at(-1).push(point);
  }
  return runs;
}

function pathOf(run, x, y) {
  return run.map((point, index) => `${index === 0 ? 'M' : 'L'}${x(point.at).toFixed(1)},${y(point.value).toFixed(1)}`).join('');
}

/** A point without neighbours, with its bounds. Of the newest step the middle is yet to come, so it stands at the end. */
function lonePoint({ at, value, low, high }, { tone }, { x, y, right }) {
  const across = Math.min(x(at), right - 4).toFixed(1);
  const isBounded = low !== null && low !== undefined && high !== null;
  return [
    ...(isBounded ? [s('path', { class: `line bounds tone-${tone}`, d: `M${across},${y(high).toFixed(1)}V${y(low).toFixed(1)}` })] : []),
    s('circle', { class: `spot tone-${tone}`, cx: across, cy: y(value), r: 3.5 }),
  ];
}

function bandOf(run, line, x, y) {
  const bounded = run.filter((point) => point.low !== null && point.low !== undefined && point.high !== null && point.high !== undefined);
  if (bounded.length < 2) return [];
  const upper = bounded.map((point) => `${x(point.at).toFixed(1)},${y(point.high).toFixed(1)}`);
  const lower = bounded.toReversed().map((point) => `${x(point.at).toFixed(1)},${y(point.low).toFixed(1)}`);
  return [s('path', { class: `band tone-${line.tone}`, d: `M${[...upper, ...lower].join('L')}Z` })];
}

/** Commits are told apart by how they begin, dates by how they end. */
function endTexts(shown) {
  const texts = shown.map((line) => line.end ?? line.name);
  const cut = (shorten) => texts.map((text) => (text.length > 7 ? shorten(text) : text));
  const beginnings = cut((text) => `${text.slice(0, 6)}…`);
  return new Set(beginnings).size === texts.length ? beginnings : cut((text) => `…${text.slice(-6)}`);
}

/** Names at the ends of the lines, pushed apart where they would touch. */
function endLabels(shown, { ends, y, bottom }) {
  const labels = shown
    .map((line, index) => ({ text: ends[index], tone: line.tone, y: Math.max(margin.top + 2, y(line.points.at(-1).value) + 4) }))
    .sort((one, other) => one.y - other.y);
  for (let index = 1; index < labels.length; index += 1) labels[index].y = Math.max(labels[index].y, labels[index - 1].y + 14);
  const over = (labels.at(-1)?.y ?? 0) - bottom - 2;
  if (over > 0) for (const label of labels) label.y -= over;
  return labels;
}

function nearest(times, at) {
  return times.reduce((best, candidate) => (Math.abs(candidate - at) < Math.abs(best - at) ? candidate : best), times[0]);
}

/** Draws once the width is known and whenever it changes. The observer reports before the frame is painted, so nothing flickers. */
function onWidth(host, drawAt) {
  let known = 0;
  new ResizeObserver(([entry]) => {
    const width = Math.floor(entry.contentRect.width);
    if (width <= 0 || width === known) return;
    known = width;
    drawAt(width);
  }).observe(host);
}

export function sparkline(values, label) {
  const width = 120;
  const height = 24;
  const most = Math.max(1, ...values);
  const x = (index) => 1 + (index / Math.max(1, values.length - 1)) * (width - 2);
  const y = (value) => height - 2 - (value / most) * (height - 4);
  const path = values.map((value, index) => `${index === 0 ? 'M' : 'L'}${x(index).toFixed(1)},${y(value).toFixed(1)}`).join('');
  return s('svg', { class: 'spark', width, height, viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label }, s('path', { class: 'area', d: `${path}L${x(values.length - 1).toFixed(1)},${height - 1}L1,${height - 1}Z` }), s('path', { class: 'line tone-a', d: path }));
}

/**
 * An effect as a dot with its interval; worse is always to the right, grey is what is tolerated. `badness` maps an effect's number
 * to that axis (0: no change). Bounds that leave the axis end in an arrow.
 */
export function intervalBar({ effect, badness, tolerated, tone }) {
  const width = 168;
  const height = 20;
  const ends = [effect.low, effect.high].map((bound) => (bound === null ? null : badness(bound))).sort((one, other) => (one ?? 0) - (other ?? 0));
  const point = badness(effect.estimate);
  const reach = Math.max(Math.abs(point), ...ends.map((end) => Math.abs(end ?? 0)), Math.abs(tolerated) * 1.6, 1e-9) * 1.06;
  const x = (value) => width / 2 + (value / reach) * (width / 2 - 4);
  return s(
    'svg',
    { class: 'interval', width, height, viewBox: `0 0 ${width} ${height}`, 'aria-hidden': 'true' },
    s('rect', { class: 'tolerated', x: x(-tolerated), width: x(tolerated) - x(-tolerated), y: 2, height: height - 4, rx: 2 }),
    s('line', { class: 'zero', x1: width / 2, x2: width / 2, y1: 1, y2: height - 1 }),
    ends[0] === null || ends[1] === null ? null : s('line', { class: `bar ${tone}`, x1: x(ends[0]), x2: x(ends[1]), y1: height / 2, y2: height / 2 }),
    s('circle', { class: `point ${tone}`, cx: x(point), cy: height / 2, r: 3.6 }),
  );
}

/** Values with intervals of several versions on one axis, one line each. */
export function valueStrip(rows) {
  const width = 220;
  const lineHeight = 15;
  const height = rows.length * lineHeight + 4;
  const all = rows.flatMap((row) => [row.value, row.low ?? row.value, row.high ?? row.value]);
  const least = Math.min(...all);
  const most = Math.max(...all);
  const span = most - least || Math.abs(most) || 1;
  const x = (value) => 6 + ((value - least) / span) * (width - 12);
  return s(
    'svg',
    { class: 'strip', width, height, viewBox: `0 0 ${width} ${height}`, 'aria-hidden': 'true' },
    rows.map((row, index) => {
      const y = index * lineHeight + lineHeight / 2 + 2;
      return [
        s('line', { class: 'grid', x1: 2, x2: width - 2, y1: y, y2: y }),
        row.low === null || row.high === null ? null : s('line', { class: `bar tone-${row.tone}`, x1: x(row.low), x2: x(row.high), y1: y, y2: y }),
        s('circle', { class: `spot tone-${row.tone}`, cx: x(row.value), cy: y, r: 3.6 }),
      ];
    }),
  );
}
