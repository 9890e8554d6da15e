/** Numbers and times as they are read at three in the morning: short, with their unit, never a fake digit. */
const narrow = '\u202f';
const minus = '\u2212';

export function count(value) {
  return Math.round(value).toString().replace(/\B(?=(\d{3})+(?!\d))/g, narrow);
}

/** "1 call", "2 calls". */
export const counted = (value, noun) => `${count(value)} ${noun}${value === 1 ? '' : 's'}`;

function fixed(value, digits) {
  return (value < 0 ? minus : '') + Math.abs(value).toFixed(digits);
}

/** Three significant digits at most, without an exponent. */
function short(value) {
  const size = Math.abs(value);
  if (size === 0) return '0';
  if (size >= 1000) return (value < 0 ? minus : '') + count(size);
  return fixed(value, size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : Math.min(6, 2 - Math.floor(Math.log10(size))));
}

export function percent(share) {
  const value = share * 100;
  // Wilson's lower bound of no failures is 1e-18, not zero.
  if (Math.abs(value) < 1e-6) return `0${narrow}%`;
  return `${Math.abs(value) >= 0.095 ? fixed(value, 1) : fixed(value, Math.min(6, -Math.floor(Math.log10(Math.abs(value)))))}${narrow}%`;
}

function milliseconds(ms) {
  // The unit of what is shown: 999.7 ms is 1.00 s, not 1000 ms.
  if (Math.abs(ms) >= 59_995) return `${fixed(ms / 60_000, 1)}${narrow}min`;
  if (Math.abs(ms) >= 999.5) return `${fixed(ms / 1000, 2)}${narrow}s`;
  return `${fixed(ms, 0)}${narrow}ms`;
}

function dollars(usd) {
  if (Math.abs(usd) >= 1) return `$${fixed(usd, 2)}`;
  return `${tick(short(usd * 100))}${narrow}¢`;
}

const units = { error_rate: 'share', format: 'share', truncated: 'share', content_filter: 'share', empty: 'share', latency: 'ms', ttft: 'ms', cost: 'usd', input_tokens: 'tokens', output_tokens: 'tokens', cardinality: 'tokens', ledger: 'tokens', parked: 'tokens', lag: 'ms' };

const metricNames = {
  error_rate: 'Error rate',
  latency: 'Latency',
  ttft: 'First token',
  cost: 'Cost of a call',
  format: 'Bad format',
  truncated: 'Truncated',
  content_filter: 'Filtered',
  empty: 'Empty answers',
  input_tokens: 'Input tokens',
  output_tokens: 'Output tokens',
  cardinality: 'Calls under (other)',
  ledger: 'Records not accounted for',
  lag: 'Behind the clock',
  parked: 'Records kept aside',
};

export function metricName(name) {
  return Object.hasOwn(metricNames, name) ? metricNames[name] : name;
}

function unitOf(name, kind) {
  return Object.hasOwn(units, name) ? units[name] : kind === 'rate' ? 'share' : 'score';
}

/** A value of a metric, in its unit. */
export function quantity(name, value, kind) {
  if (value === null || value === undefined) return '–';
  switch (unitOf(name, kind)) {
    case 'share':
      return percent(value);
    case 'ms':
      return milliseconds(value);
    case 'usd':
      return dollars(value);
    case 'tokens':
      return count(value);
    default:
      return fixed(value, Math.abs(value) >= 10 ? 1 : 3);
  }
}

/** A difference, or a ratio as a change in percent, with its sign. `unit: false` leaves the unit to the reader's eye. */
export function change(effect, value, name, hasUnit = true) {
  if (value === null) return '–';
  if (effect.kind === 'odds_ratio') return `×${value.toPrecision(3)}`;
  if (effect.kind !== 'difference') {
    const change_percent = (value - 1) * 100;
    return `${signed(change_percent, Math.abs(change_percent) < 9.95 ? 1 : 0)}${hasUnit ? `${narrow}%` : ''}`;
  }
  if (unitOf(name) === 'share') return `${signed(value * 100, Math.abs(value) < 0.0995 ? 1 : 0)}${hasUnit ? `${narrow}pp` : ''}`;
  return signed(value, Math.abs(value) < 10 ? 3 : 1);
}

function signed(value, digits) {
  const size = Math.abs(value).toFixed(digits);
  return `${Number(size) === 0 ? '±' : value > 0 ? '+' : minus}${size}`;
}

/** The text of a tick: what a value says, without digits that say nothing. */
export function tick(text) {
  return text.replace(/(\.\d*?)0+(?!\d)/, '$1').replace(/\.(?!\d)/, '');
}

/** Evidence as odds: 0.3, 6.1, 410, 12k, 3M, 10¹². */
export function odds(value) {
  if (value === null || value === undefined) return '–';
  if (value < 0.01) return '< 0.01';
  if (value < 1) return value.toFixed(2);
  if (value < 10) return value.toFixed(1);
  if (value < 10_000) return count(value);
  if (value < 999_500) return `${Math.round(value / 1000)}k`;
  if (value < 1e9) return `${Math.round(value / 1e6)}M`;
  return `10${[...String(Math.floor(Math.log10(value)))].map((digit) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[Number(digit)]).join('')}`;
}

const clockTime = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const dayTime = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });
const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });
const full = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'long' });

export const dayOf = (ms) => day.format(ms);
export const clockOf = (ms) => clockTime.format(ms);

/** The time of day; with the date where it is more than 18 hours from `nowMs`. */
export function time(ms, nowMs) {
  return Math.abs(nowMs - ms) < 18 * 3_600_000 ? clockTime.format(ms) : dayTime.format(ms);
}

export const timeInFull = (ms) => full.format(ms);

export function duration(ms) {
  const minutes = Math.round(ms / 60_000);
  if (ms < 60_000) return `${Math.max(0, Math.round(ms / 1000))}${narrow}s`;
  if (minutes < 60) return `${minutes}${narrow}min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)}${narrow}h${minutes % 60 === 0 ? '' : ` ${minutes % 60}${narrow}min`}`;
  return `${Math.round(minutes / 1440)} days`;
}

export const factorName = (factor) => ({ prompt_version: 'prompt version', app_version: 'app version', prompt_content: 'prompt text', request_model: 'requested model', unknown: 'unknown' })[factor] ?? factor;

/** A version label as people say it; none at all is said so. */
export const versionName = (version) => (version === '' || version === null ? 'no version' : version);

/** What stands for a version that nobody named: the fingerprint of the prompt's text. */
export const isFingerprint = (version) => /^[st]:[0-9a-f]{16}$/.test(version);
