import { createHash } from 'node:crypto';
import type { Alert } from '../../schemas/alert.ts';
import type { SettingsOf } from '../../schemas/sinks.ts';
import type { Message, Outcome, Sink, SinkResponse } from './index.ts';
import { factsOf, oneLine, stepOf, titleOf } from './words.ts';

/** E-mail: text and HTML with the chart inside. What is told of one alert is one thread. */
export function createEmailSink({ name, url, user, password, tls, from, to, events, timeout_s, per_minute }: SettingsOf<'email'>): Sink {
  const domain = from.slice(from.lastIndexOf('@') + 1);
  return {
    name,
    events,
    timeoutMs: timeout_s * 1000,
    most: 100,
    perMinute: per_minute,
    carriesPicture: true,
    request(messages, { picture }) {
      const [first] = messages;
      const isAlone = messages.length === 1;
      const subject = isAlone ? `[${first.alert.severity}] ${titleOf(first)}` : `${messages.length} alerts, the first: ${titleOf(first)}`;
      return {
        url,
        auth: user === undefined ? null : { user, pass: password ?? '' },
        requireTls: tls === 'required',
        mail: {
          from,
          to,
          // A line of RFC 5322 has 998 characters, and clients show far fewer.
          subject: oneLine(subject, 200),
          text: messages.map(textOf).join('\n\n* * *\n\n'),
          html: `<!doctype html><html lang="en"><body style="font:15px/1.5 system-ui,sans-serif;color:#1b1c1f">${messages.map((message) => htmlOf(message, picture !== null)).join('<hr>')}</body></html>`,
          // The same at every attempt; of several together another than of any of them alone.
          messageId: `<${isAlone ? first.id : createHash('sha256').update(messages.map(({ id }) => id).join('/')).digest('hex').slice(0, 24)}.${name}@${domain}>`,
          references: `<${first.alert.id}.${name}@${domain}>`,
          headers: { 'Auto-Submitted': 'auto-generated', 'X-Culprit-Alert': first.alert.id },
          picture: picture === null ? null : { cid: `${first.alert.id}@${domain}`, filename: 'chart.png', content: picture },
        },
      };
      function htmlOf(message: Message, hasPicture: boolean): string {
        const { alert } = message;
        const rows = factsOf(alert).map((fact) => `<tr><td style="padding:2px 14px 2px 0;color:#60646c;vertical-align:top">${escapeHtml(oneLine(fact.name, 200))}</td><td>${escapeHtml(oneLine(fact.value, 2000))}</td></tr>`);
        const step = stepOf(message);
        const chart = hasPicture ? `<p><img src="cid:${escapeHtml(`${alert.id}@${domain}`)}" width="720" alt="${escapeHtml(oneLine(alert.summary, 500))}" style="max-width:100%"></p>` : '';
        return `<h2 style="font-size:18px">${escapeHtml(oneLine(titleOf(message), 500))}</h2>${step === '' ? '' : `<p>${escapeHtml(oneLine(step, 2000))}</p>`}${chart}<table>${rows.join('')}</table>${linksOf(alert)}`;
      }
    },
    judge: judgeSmtp,
  };
}

function textOf(message: Message): string {
  const { alert } = message;
  return [oneLine(titleOf(message), 500), oneLine(stepOf(message), 2000), '', ...factsOf(alert).map(({ name, value }) => oneLine(`${name}: ${value}`, 2000)), '', oneLine(alert.links.alert, 2000), ...(isLink(alert.culprit.diff_url) ? [`What changed: ${oneLine(alert.culprit.diff_url, 2000)}`] : [])].join('\n');
}

function linksOf({ links, culprit }: Alert): string {
  const named = [...(isLink(links.alert) ? [[links.alert, 'Open the alert']] : []), ...(isLink(culprit.diff_url) ? [[culprit.diff_url, 'What changed']] : [])];
  return named.length === 0 ? '' : `<p>${named.map(([address = '', text]) => `<a href="${escapeHtml(oneLine(address, 2000))}">${text}</a>`).join(' · ')}</p>`;
}

function isLink(address: string | null): address is string {
  return address !== null && /^https?:\/\//.test(address);
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;').replaceAll("'", '&#39;');
}

/** RFC 5321, 4.2.1: 2xx done, 4xx come back later, 5xx never. */
function judgeSmtp({ status, retryAfterMs }: SinkResponse): Outcome {
  const detail = `SMTP ${status}`;
  if (status >= 200 && status < 300) return { kind: 'delivered', detail };
  // 535: a wrong password is put right by a person, and the mail is still wanted then.
  return status >= 500 && status !== 535 && status !== 530 ? { kind: 'failed', detail } : { kind: 'retry', detail, retryAfterMs };
}
