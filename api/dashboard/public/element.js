import { time, timeInFull } from './format.js';

/**
 * Elements, made only by createElement and text nodes: a name from the wire can never become markup.
 * Attributes: `on…` is a listener, `true` an empty attribute, null and false none.
 */
const svgNamespace = 'http://www.w3.org/2000/svg';

export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function s(tag, attributes, ...children) {
  return fill(document.createElementNS(svgNamespace, tag), attributes, children);
}

/** A name from the wire may turn the direction of all that is written behind it: such a character is shown as one that is not there. */
function plain(child) {
  return typeof child === 'string' ? child.replace(/[\u202a-\u202e\u2066-\u2069]/g, '\ufffd') : child;
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children.flat(Number.POSITIVE_INFINITY).filter((child) => child !== null && child !== undefined && child !== false).map(plain));
  return element;
}

/** A link only to http(s) and to this server; any other address from the wire is shown as text. */
export function link(address, attributes, ...children) {
  let url = null;
  try {
    url = new URL(address, location.origin);
  } catch {
    // No address: text it is.
  }
  if (url === null || !['http:', 'https:'].includes(url.protocol)) return h('span', null, children);
  const isOurs = url.origin === location.origin;
  return h('a', { href: isOurs ? url.pathname + url.search : url.href, ...(isOurs ? {} : { rel: 'noreferrer noopener', target: '_blank' }), ...attributes }, children);
}

/** A time of day, with all of it in its title. */
export function stamp(ms, nowMs) {
  return h('time', { datetime: new Date(ms).toISOString(), title: timeInFull(ms) }, time(ms, nowMs));
}

export function card(title, note, ...children) {
  return h('section', { class: 'card' }, h('h2', null, title, note ? h('small', null, ' ', note) : null), children);
}

/** A wide table scrolls by itself, and by keyboard, instead of the page. */
export function scrolling(label, ...children) {
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': label }, children);
}
