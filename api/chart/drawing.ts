/** Pieces of an SVG as text. Names in it come from telemetry, so every text and attribute is escaped here and nowhere else. */

/** Control characters are no part of XML; direction characters turn the text around them. */
export function escapeXml(text: string): string {
  return text
    .toWellFormed()
    .replaceAll(/[\p{Cc}\u2028\u2029\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufffe\uffff]/gu, '')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}

export function element(name: string, attributes: Readonly<Record<string, string | number>>, ...children: readonly string[]): string {
  const written = Object.entries(attributes).map(([key, value]) => ` ${key}="${typeof value === 'number' ? String(Math.round(value * 10) / 10) : escapeXml(value)}"`);
  return children.length === 0 ? `<${name}${written.join('')}/>` : `<${name}${written.join('')}>${children.join('')}</${name}>`;
}

export function text(content: string, attributes: Readonly<Record<string, string | number>>): string {
  return element('text', attributes, escapeXml(content));
}

/** Lines of at most `characters`; the last one is cut where there is more. Breaks at spaces where there are any. */
export function wrap(content: string, { characters, lines }: { characters: number; lines: number }): string[] {
  const wrapped: string[] = [];
  let rest = content.slice(0, characters * (lines + 1)).trim();
  while (rest !== '' && wrapped.length < lines) {
    if (rest.length <= characters) {
      wrapped.push(rest);
      break;
    }
    if (wrapped.length === lines - 1) {
      wrapped.push(`${rest.slice(0, characters - 1).toWellFormed().trimEnd()}…`);
      break;
    }
    const space = rest.lastIndexOf(' ', characters);
    const end = space > characters / 2 ? space : characters;
    wrapped.push(rest.slice(0, end).trimEnd());
    rest = rest.slice(end).trimStart();
  }
  return wrapped;
}

export type Scale = (value: number) => number;

export function linear(from: readonly [number, number], to: readonly [number, number]): Scale {
  const span = from[1] - from[0] || 1;
  return (value) => to[0] + ((value - from[0]) / span) * (to[1] - to[0]);
}

/** Round numbers from 0 (or `low`) past `high`, about `count` of them. */
export function ticksOf(low: number, high: number, count: number): number[] {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power;
  const first = Math.floor(low / step);
  return Array.from({ length: Math.ceil(high / step) - first + 1 }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}

const MINUTE_MS = 60_000;
const TIME_STEPS_MS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10_080].map((minutes) => minutes * MINUTE_MS);

export function timeTicks(fromMs: number, toMs: number, count: number): { atMs: number; label: string }[] {
  const step = TIME_STEPS_MS.find((each) => (toMs - fromMs) / each <= count) ?? 30 * 1440 * MINUTE_MS;
  const ticks: { atMs: number; label: string }[] = [];
  for (let atMs = Math.ceil(fromMs / step) * step; atMs <= toMs && ticks.length < 50; atMs += step) {
    const iso = new Date(atMs).toISOString();
    ticks.push({ atMs, label: step >= 1440 * MINUTE_MS ? iso.slice(5, 10) : iso.slice(11, 16) });
  }
  return ticks;
}
