import { oddsFigure } from '../figures.ts';
import { element, escapeXml, linear, text, ticksOf, timeTicks, wrap, type Scale } from './drawing.ts';

/**
 * The chart of an alert, as an SVG that stands alone: both arms over time with their bands and the onset, and below, on the same
 * time axis, the evidence against its threshold. On a light ground and legible at 600 pixels, as it travels with messages.
 */
export type ChartFacts = {
  readonly title: string;
  /** "error rate", "latency p95" */
  readonly measure: string;
  readonly format: (value: number) => string;
  /** Where the axis of values begins at least: 0, but for scores. */
  readonly isFromZero: boolean;
  readonly fromMs: number;
  readonly toMs: number;
  readonly arms: readonly { readonly name: string; readonly role: 'baseline' | 'candidate'; readonly points: readonly ChartPoint[] }[];
  readonly stepMs: number;
  readonly onsetMs: number;
  readonly raisedMs: number;
  readonly resolvedMs: number | null;
  readonly looks: readonly { readonly at_ms: number; readonly e_value: number }[];
  readonly threshold: number;
};
export type ChartPoint = { readonly at_ms: number; readonly value: number; readonly low: number | null; readonly high: number | null };

const WIDTH = 720;
const HEIGHT = 430;
const LEFT = 62;
const RIGHT = WIDTH - 74;
const VALUES = { top: 84, bottom: 244 } as const;
const EVIDENCE = { top: 296, bottom: 396 } as const;
/** Of ten, above the threshold, as on the page (dashboard/public/scale.js). */
const MOST_POWERS = 38;
const INK = '#1b1c1f';
const MUTE = '#60646c';
const LINE = '#e4e2dc';
const TONES = { baseline: '#3b6299', candidate: '#b3261e' } as const;

export function chartSvg(facts: ChartFacts): string {
  const x = linear([facts.fromMs, facts.toMs], [LEFT, RIGHT]);
  const title = wrap(facts.title, { characters: 70, lines: 2 });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="'DejaVu Sans', system-ui, sans-serif" font-size="12" role="img">`,
    `<title>${escapeXml(facts.title)}</title>`,
    element('rect', { width: WIDTH, height: HEIGHT, fill: '#ffffff' }),
    element('clipPath', { id: 'values' }, element('rect', { x: LEFT, y: VALUES.top - 2, width: RIGHT - LEFT, height: VALUES.bottom - VALUES.top + 3 })),
    ...title.map((line, index) => text(line, { x: 18, y: 26 + index * 19, 'font-size': 15, 'font-weight': 700, fill: INK })),
    text(facts.measure, { x: 18, y: VALUES.top - 14, 'font-weight': 700, fill: INK }),
    ...valuesOf(facts, x),
    text('Evidence that it is worse', { x: 18, y: EVIDENCE.top - 14, 'font-weight': 700, fill: INK }),
    text('odds against chance, at every look', { x: 190, y: EVIDENCE.top - 14, fill: MUTE, 'font-size': 11 }),
    ...evidenceOf(facts, x),
    ...timeAxis(facts, x, EVIDENCE.bottom),
    '</svg>',
  ].join('\n');
}

function valuesOf(facts: ChartFacts, x: Scale): string[] {
  const { top, bottom } = VALUES;
  const points = facts.arms.flatMap((arm) => arm.points);
  if (points.length === 0) return [text('no calls in this time', { x: LEFT, y: (top + bottom) / 2, fill: MUTE })];
  const most = Math.max(...points.map(({ value }) => value));
  const least = Math.min(...points.map(({ value }) => value));
  // Bands of thin buckets are wide: they may leave the axis, the lines may not.
  const high = Math.min(Math.max(most, ...points.map((point) => point.high ?? point.value)), most + Math.max(most - (facts.isFromZero ? 0 : least), Math.abs(most) * 0.05) * 0.8);
  const low = facts.isFromZero ? 0 : Math.max(Math.min(least, ...points.map((point) => point.low ?? point.value)), least - (most - least || Math.abs(most) * 0.05) * 0.8);
  const ticks = ticksOf(low, high > low ? high : low + 1, 4);
  const y = linear([ticks[0] ?? 0, ticks.at(-1) ?? 1], [bottom, top]);
  const lines = facts.arms.map((arm) => ({ ...arm, tone: TONES[arm.role], runs: runsOf(arm.points, facts.stepMs) }));
  return [
    ...ticks.flatMap((tick) => [element('line', { x1: LEFT, x2: RIGHT, y1: y(tick), y2: y(tick), stroke: LINE }), text(facts.format(tick), { x: LEFT - 8, y: y(tick) + 4, 'text-anchor': 'end', fill: MUTE, 'font-size': 11 })]),
    ...onsetOf(facts, x, { top: top - 4, bottom }),
    `<g clip-path="url(#values)">`,
    ...lines.flatMap(({ runs, tone }) => runs.flatMap((run) => bandOf(run, x, y, tone))),
    ...lines.flatMap(({ runs, tone }) => runs.map((run) => element('path', { d: pathOf(run, x, y), fill: 'none', stroke: tone, 'stroke-width': 2, 'stroke-linejoin': 'round', 'stroke-linecap': 'round' }))),
    '</g>',
    ...labelsOf(lines, y),
    ...timeAxis(facts, x, bottom),
  ];
}

function onsetOf({ onsetMs, fromMs, toMs }: ChartFacts, x: Scale, { top, bottom }: { top: number; bottom: number }): string[] {
  if (onsetMs < fromMs || onsetMs > toMs) return [];
  const isLate = x(onsetMs) > RIGHT - 130;
  return [
    element('line', { x1: x(onsetMs), x2: x(onsetMs), y1: top, y2: bottom, stroke: MUTE, 'stroke-dasharray': '2 3' }),
    text(`began ${new Date(onsetMs).toISOString().slice(11, 16)}`, { x: x(onsetMs) + (isLate ? -6 : 6), y: top + 2, 'text-anchor': isLate ? 'end' : 'start', fill: MUTE, 'font-size': 11 }),
  ];
}

/** A gap of more than two steps is a gap, not a slope. */
function runsOf(points: readonly ChartPoint[], stepMs: number): ChartPoint[][] {
  const runs: ChartPoint[][] = [];
  for (const point of points) {
    const last = runs.at(-1)?.at(-1);
    if (last === undefined || point.at_ms - last.at_ms > stepMs * 2.5) runs.push([point]);
    else runs.at(-1)?.push(point);
  }
  return runs;
}

function pathOf(run: readonly ChartPoint[], x: Scale, y: Scale): string {
  const path = run.map(({ at_ms, value }, index) => `${index === 0 ? 'M' : 'L'}${x(at_ms).toFixed(1)},${y(value).toFixed(1)}`).join('');
  // A lone point is a short stroke, so that it is seen.
  return run.length === 1 ? `${path}h3` : path;
}

function bandOf(run: readonly ChartPoint[], x: Scale, y: Scale, tone: string): string[] {
  const bounded = run.flatMap(({ at_ms, low, high }) => (low === null || high === null ? [] : [{ at: x(at_ms).toFixed(1), low: y(low).toFixed(1), high: y(high).toFixed(1) }]));
  if (bounded.length < 2) return [];
  const edge = [...bounded.map(({ at, high }) => `${at},${high}`), ...bounded.toReversed().map(({ at, low }) => `${at},${low}`)];
  return [element('path', { d: `M${edge.join('L')}Z`, fill: tone, 'fill-opacity': '0.14' })];
}

/** Names at the ends of the lines, pushed apart where they would touch. */
function labelsOf(lines: readonly { name: string; tone: string; points: readonly ChartPoint[] }[], y: Scale): string[] {
  const labels = lines
    .flatMap(({ name, tone, points }) => { const last = points.at(-1); return last === undefined ? [] : [{ name: wrap(name, { characters: 9, lines: 1 })[0] ?? '', tone, at: y(last.value) + 4 }]; })
    .sort((one, other) => one.at - other.at);
  labels.forEach((label, index) => { label.at = Math.max(label.at, VALUES.top + 4, (labels[index - 1]?.at ?? Number.NEGATIVE_INFINITY) + 14); });
  return labels.map(({ name, tone, at }) => text(name, { x: RIGHT + 6, y: at, fill: tone, 'font-weight': 700 }));
}

function evidenceOf(facts: ChartFacts, x: Scale): string[] {
  const { top, bottom } = EVIDENCE;
  const log = (value: number): number => Math.log10(Math.min(Math.max(value, 0.01), 1e300));
  const looks = facts.looks.filter(({ at_ms }) => at_ms >= facts.fromMs && at_ms <= facts.toMs);
  // Beyond it more is not surer, and the moment of the alert would lie on the axis; the end of the line says how much it is.
  const most = log(facts.threshold) + MOST_POWERS;
  const last = looks.at(-1);
  const high = Math.min(most, Math.max(log(facts.threshold) + 1, ...looks.map(({ e_value }) => log(e_value))));
  const low = Math.min(-1, ...looks.map(({ e_value }) => log(e_value)));
  const y = linear([low, high], [bottom, top]);
  const powers = ticksOf(Math.ceil(low), Math.floor(high), 3).filter((power) => Number.isInteger(power) && power >= low && power <= high);
  const points = looks.map(({ at_ms, e_value }) => ({ at_ms, value: Math.min(high, log(e_value)), low: null, high: null }));
  const raised = points.find(({ at_ms }) => at_ms >= facts.raisedMs) ?? points.at(-1);
  const line = y(log(facts.threshold));
  const isLow = raised !== undefined && y(raised.value) + 15 > bottom;
  // Below it there is the axis then, and right of it the line itself.
  const isLeft = raised !== undefined && (isLow || x(raised.at_ms) > RIGHT - 110);
  return [
    ...powers.flatMap((power) => [element('line', { x1: LEFT, x2: RIGHT, y1: y(power), y2: y(power), stroke: LINE }), text(powerOfTen(power), { x: LEFT - 8, y: y(power) + 4, 'text-anchor': 'end', fill: MUTE, 'font-size': 11 })]),
    element('line', { x1: LEFT, x2: RIGHT, y1: line, y2: line, stroke: TONES.candidate, 'stroke-dasharray': '5 4' }),
    text(`${facts.threshold} : 1`, { x: RIGHT + 6, y: line + 4, fill: TONES.candidate, 'font-size': 11 }),
    ...(last === undefined || log(last.e_value) <= most ? [] : [text(`${oddsFigure(last.e_value)} : 1`, { x: RIGHT + 6, y: top + 4, fill: INK, 'font-size': 11 })]),
    ...onsetOf({ ...facts, raisedMs: 0 }, x, { top, bottom }).slice(0, 1),
    ...(points.length === 0 ? [text('no look yet', { x: LEFT, y: (top + bottom) / 2, fill: MUTE })] : [element('path', { d: pathOf(points, x, y), fill: 'none', stroke: INK, 'stroke-width': 2, 'stroke-linejoin': 'round' })]),
    ...(raised === undefined ? [] : [
      element('circle', { cx: x(raised.at_ms), cy: y(raised.value), r: 4, fill: TONES.candidate }),
      text(`alert ${new Date(facts.raisedMs).toISOString().slice(11, 16)}`, { x: x(raised.at_ms) + (isLeft ? -8 : 8), y: y(raised.value) + (isLow ? -8 : 15), 'text-anchor': isLeft ? 'end' : 'start', fill: INK, 'font-weight': 700, 'font-size': 11, stroke: '#ffffff', 'stroke-width': 4, 'stroke-linejoin': 'round', 'paint-order': 'stroke' }),
    ]),
    ...(facts.resolvedMs === null || facts.resolvedMs > facts.toMs ? [] : [element('line', { x1: x(facts.resolvedMs), x2: x(facts.resolvedMs), y1: top, y2: bottom, stroke: '#1c6b40' }), text('resolved', { x: x(facts.resolvedMs) - 5, y: top + 10, 'text-anchor': 'end', fill: '#1c6b40', 'font-size': 11 })]),
  ];
}

function powerOfTen(power: number): string {
  return power < 0 ? String(10 ** power) : power < 3 ? String(10 ** power) : power < 6 ? `${10 ** (power - 3)}k` : power < 9 ? `${10 ** (power - 6)}M` : `10^${power}`;
}

function timeAxis({ fromMs, toMs }: ChartFacts, x: Scale, bottom: number): string[] {
  const ticks = timeTicks(fromMs, toMs, 7);
  return [...ticks.map(({ atMs, label }) => text(label, { x: x(atMs), y: bottom + 17, 'text-anchor': 'middle', fill: MUTE, 'font-size': 11 })), text('UTC', { x: RIGHT + 38, y: bottom + 17, fill: MUTE, 'font-size': 11 })];
}
