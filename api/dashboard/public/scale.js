import { clockOf, dayOf } from './format.js';

/** Axes: where they begin and end, and their ticks. */

/** From zero where the values begin near it. Bands may run out of the top: a line is worth more room than its doubt. */
export function linearScale(shown, wanted) {
  const values = shown.flatMap((line) => line.points.map((point) => point.value));
  const highs = shown.flatMap((line) => line.points.map((point) => point.high ?? point.value)).sort((one, other) => one - other);
  const lows = shown.flatMap((line) => line.points.map((point) => point.low ?? point.value));
  const greatest = Math.max(...values);
  const usual = highs[Math.floor(highs.length * 0.9)] ?? 0;
  const top = greatest > 0 ? Math.max(greatest, Math.min(usual, greatest * 1.5)) : Math.max(greatest, usual);
  const least = Math.min(...values, ...lows);
  const low = least > top * 0.5 ? least - (top - least) * 0.1 : Math.min(0, least);
  const span = top - low || Math.abs(top) || 1;
  const rough = span / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough) ?? power * 10;
  const first = Math.floor(low / step + 1e-9);
  const last = Math.max(first + 1, Math.ceil((low + span) / step - 1e-9));
  const ticks = Array.from({ length: last - first + 1 }, (_, index) => ({ value: (first + index) * step }));
  return { low: first * step, high: last * step, ticks };
}

/** Powers of ten from a tenth (or less, if it fell there) to well past the threshold. */
export function logScale(shown, threshold) {
  const values = shown.flatMap((line) => line.points.map((point) => Math.log10(Math.max(point.value, 1e-300))));
  const low = Math.max(-4, Math.min(-1, Math.floor(Math.min(...values))));
  // Beyond 10⁴⁰ more is not surer; the label at the end still says how much it is.
  const beyond = Math.ceil(Math.log10(threshold?.value ?? 1));
  const high = Math.min(beyond + 40, Math.max(beyond + 1, Math.ceil(Math.max(...values))));
  const every = Math.max(1, Math.ceil((high - low) / 6));
  const ticks = [];
  for (let power = Math.ceil(low / every) * every; power <= high; power += every) ticks.push({ value: 10 ** power, text: powerOfTen(power) });
  return { low, high, ticks };
}

function powerOfTen(power) {
  if (power < 0) return `1/${10 ** -power}`;
  if (power < 3) return String(10 ** power);
  if (power < 6) return `${10 ** (power - 3)}k`;
  if (power < 9) return `${10 ** (power - 6)}M`;
  return `10${[...String(power)].map((digit) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[Number(digit)]).join('')}`;
}

export function timeTicks(from, to, wanted) {
  const minute = 60_000;
  const steps = [1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 360, 720, 1440, 2880, 10_080].map((minutes) => minutes * minute);
  const step = steps.find((candidate) => (to - from) / candidate <= wanted) ?? steps.at(-1);
  const offset = new Date(from).getTimezoneOffset() * minute;
  const ticks = [];
  for (let at = Math.ceil((from - offset) / step) * step + offset; at <= to; at += step) ticks.push({ at, text: step >= 1440 * minute ? dayOf(at) : clockOf(at) });
  return ticks;
}
