import type { Alert } from '../../schemas/alert.ts';
import type { SettingsOf } from '../../schemas/sinks.ts';
import type { Message, Sink } from './index.ts';
import { judgeHttp } from './judging.ts';
import { factsOf, oneLine, publicPicture, stepOf, titleOf, type Fact } from './words.ts';

/**
 * Slack incoming webhook: blocks in a coloured attachment (docs.slack.dev/reference/block-kit/blocks). Names stand in `plain_text` only, where nothing is
 * markup and nobody is mentioned; `text`, which notifications show, is escaped. Several alerts are one message with a line for each.
 */
export function createSlackSink({ name, url, events, timeout_s, per_minute }: SettingsOf<'slack'>): Sink {
  return {
    name,
    events,
    timeoutMs: timeout_s * 1000,
    // A header and a line for each stay below the 50 blocks of a message.
    most: 40,
    perMinute: per_minute,
    request(messages) {
      const [first] = messages;
      const content = messages.length === 1 ? alone(first) : together(messages);
      return { url, headers: { 'content-type': 'application/json; charset=utf-8', 'user-agent': 'culprit' }, body: JSON.stringify(content) };
    },
    judge: judgeHttp,
  };
}

const plain = (text: string, most: number) => ({ type: 'plain_text', text: oneLine(text, most) || '–', emoji: false }) as const;

/** Slack's own three characters, so that `<!channel>` and `<@U…>` are text, and `@here` is not read as a mention either. */
export function escapeSlack(text: string, most: number): string {
  return oneLine(text, most).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('@', '@\u2060');
}

function colourOf({ state, severity }: Alert): string {
  return state === 'resolved' ? '#28a745' : severity === 'page' ? '#dc3545' : '#ffc107';
}

function alone(message: Message) {
  const { alert } = message;
  const picture = message.type === 'alert.open' ? publicPicture(alert) : null;
  const step = stepOf(message);
  const field = ({ name, value }: Fact) => plain(`${name}: ${value}`, 600);
  const button = (text: string, link: string) => (/^https?:\/\//.test(link) ? [{ type: 'button', text: plain(text, 75), url: link.slice(0, 3000) }] : []);
  const rollback = alert.state === 'resolved' ? null : alert.links.rollback;
  const buttons = [...button('Alert', alert.links.alert), ...(rollback === null ? [] : button('Rollback', rollback)), ...button('Evidence', alert.links.evidence), ...(alert.culprit.diff_url === null ? [] : button('What changed', alert.culprit.diff_url))];
  const blocks = [
    { type: 'header', text: plain(titleOf(message), 150) },
    ...(step === '' ? [] : [{ type: 'section', text: plain(step, 3000) }]),
    // At most ten fields a section.
    { type: 'section', fields: factsOf(alert).slice(0, 10).map(field) },
    ...(picture === null ? [] : [{ type: 'image', image_url: picture, alt_text: oneLine(alert.summary, 2000) }]),
    ...(buttons.length === 0 ? [] : [{ type: 'actions', elements: buttons }]),
  ];
  return { text: escapeSlack(titleOf(message), 2000), attachments: [{ color: colourOf(alert), blocks }] };
}

function together(messages: readonly Message[]) {
  const title = `${messages.length} alerts`;
  const worst = messages.find(({ alert }) => alert.state !== 'resolved' && alert.severity === 'page') ?? messages[0];
  const lines = messages.map((message) => ({
    type: 'section',
    text: plain(`${message.alert.severity}: ${titleOf(message)}`, 600),
    ...(/^https?:\/\//.test(message.alert.links.alert) ? { accessory: { type: 'button', text: plain('Alert', 75), url: message.alert.links.alert.slice(0, 3000) } } : {}),
  }));
  return { text: title, attachments: [{ color: worst === undefined ? '#28a745' : colourOf(worst.alert), blocks: [{ type: 'header', text: plain(title, 150) }, ...lines] }] };
}
