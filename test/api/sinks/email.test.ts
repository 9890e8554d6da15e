import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { afterEach, expect, it } from 'vitest';
import { pngOf } from '../../../api/chart/picture.ts';
import { createPost } from '../../../api/sinks/post.ts';
import { hostileAlert, messageAt, NOW_MS } from './alert.ts';
import { sending } from './sending.ts';

/** E-mail against a real SMTP server on loopback. */

type Taken = { from: string; to: string[]; raw: string };
const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function mailServer(options: SMTPServerOptions = {}) {
  const taken: Taken[] = [];
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    hideSTARTTLS: true,
    allowInsecureAuth: true,
    logger: false,
    disableReverseLookup: true,
    onData(stream, { envelope }, done) {
      let raw = '';
      stream.setEncoding('utf8').on('data', (chunk: string) => (raw += chunk));
      stream.on('end', () => {
        taken.push({ from: envelope.mailFrom === false ? '' : envelope.mailFrom.address, to: envelope.rcptTo.map(({ address }) => address), raw });
        done();
      });
    },
    ...options,
  });
  server.on('error', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => new Promise((resolve) => server.close(() => resolve())));
  const address = server.server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { url: `smtp://127.0.0.1:${address.port}`, taken };
}

const mailer = (url: string, more: { user?: string; password?: string; tls?: 'required' | 'optional'; timeout_s?: number } = {}) =>
  sending({ kind: 'email', name: 'mail', url, from: 'culprit@example.com', to: ['on-call@example.com', 'team@example.com'], events: ['alert.open'], per_minute: 20, timeout_s: 5, tls: 'optional', ...more });

/** Header fields of the outermost part, unfolded. */
function headersOf(raw: string): Map<string, string> {
  const [head = ''] = raw.split('\r\n\r\n');
  return new Map(head.replaceAll(/\r\n[ \t]+/g, ' ').split('\r\n').map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]));
}

function subjectOf(raw: string): string {
  return (headersOf(raw).get('subject') ?? '').replaceAll(/\?= =\?/g, '?==?').replaceAll(/=\?utf-8\?(b|q)\?(.*?)\?=/gi, (_, kind: string, text: string) =>
    kind.toLowerCase() === 'b' ? Buffer.from(text, 'base64').toString() : decodeURIComponent(text.replaceAll('_', ' ').replaceAll('%', '%25').replaceAll(/=([0-9A-F]{2})/g, '%$1')),
  );
}

/** The text of a part, decoded. */
function partOf(raw: string, type: string): string {
  const part = raw.split(/\r\n--/).find((each) => new RegExp(`Content-Type: ${type}`, 'i').test(each)) ?? '';
  const body = part.slice(part.indexOf('\r\n\r\n') + 4);
  if (/transfer-encoding: base64/i.test(part)) return Buffer.from(body, 'base64').toString(type.startsWith('image') ? 'latin1' : 'utf8');
  return /quoted-printable/i.test(part) ? Buffer.from(body.replaceAll('=\r\n', '').replaceAll(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))), 'latin1').toString('utf8') : body;
}

it('is text and HTML with the chart inside, to all receivers', async () => {
  const { url, taken } = await mailServer();
  const png = await pngOf('<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8" fill="red"/></svg>');
  expect(await mailer(url).send([messageAt()], png)).toEqual({ kind: 'delivered', detail: 'SMTP 250' });
  const [mail] = taken;
  if (mail === undefined) throw new Error('no mail');
  expect([mail.from, mail.to]).toEqual(['culprit@example.com', ['on-call@example.com', 'team@example.com']]);
  expect(subjectOf(mail.raw)).toContain('[page] refund-agent v2 fails 5.6 times as often as v1');
  expect(headersOf(mail.raw).get('message-id')).toBe('<trn_1.mail@example.com>');
  expect(headersOf(mail.raw).get('auto-submitted')).toBe('auto-generated');
  expect(partOf(mail.raw, 'text/plain')).toContain('Culprit: prompt version v2, against v1');
  expect(partOf(mail.raw, 'text/html')).toContain('<img src="cid:alr_1@example.com"');
  expect(mail.raw).toContain('Content-ID: <alr_1@example.com>');
  expect(Buffer.from(partOf(mail.raw, 'image/png'), 'latin1').equals(Buffer.from(png))).toBe(true);
});

it('says who wrote the culprit, and leads to what changed', async () => {
  const { url, taken } = await mailServer();
  const culprit = { ...messageAt().alert.culprit, author: 'mira', commit: '4f2a91c7d05e0000', diff_url: 'https://git.example/compare/v1...v2?a=1&b=2' };
  await mailer(url).send([messageAt({ change: { culprit } })]);
  const raw = taken[0]?.raw ?? '';
  expect(partOf(raw, 'text/plain')).toContain('Culprit: prompt version v2, against v1; written by mira, commit 4f2a91c7d05e\r\n');
  expect(partOf(raw, 'text/plain')).toContain(`What changed: ${culprit.diff_url}`);
  expect(partOf(raw, 'text/html')).toContain('<a href="https://git.example/compare/v1...v2?a=1&amp;b=2">What changed</a>');
});

it('has what happens to one alert in one thread', async () => {
  const { url, taken } = await mailServer();
  await mailer(url).send([messageAt()]);
  await mailer(url).send([messageAt({ id: 'trn_2', type: 'alert.resolved', who: 'mira', reason: 'rolled back' })]);
  expect(taken.map(({ raw }) => headersOf(raw).get('references'))).toEqual(['<alr_1.mail@example.com>', '<alr_1.mail@example.com>']);
  expect(partOf(taken[1]?.raw ?? '', 'text/plain')).toContain('mira: rolled back');
});

it('adds no header and no markup, whatever a name says', async () => {
  const { url, taken } = await mailServer();
  expect(await mailer(url).send([messageAt({ change: hostileAlert(), who: '<i>mira</i>', reason: 'x\r\nBcc: y@example.com', type: 'alert.acknowledged' })])).toMatchObject({ kind: 'delivered' });
  const [mail] = taken;
  if (mail === undefined) throw new Error('no mail');
  expect([...headersOf(mail.raw).keys()].toSorted()).toEqual(['auto-submitted', 'content-type', 'date', 'from', 'in-reply-to', 'message-id', 'mime-version', 'references', 'subject', 'to', 'x-culprit-alert']);
  expect(mail.to).toEqual(['on-call@example.com', 'team@example.com']);
  expect(subjectOf(mail.raw).length).toBeLessThanOrEqual(200);
  const html = partOf(mail.raw, 'text/html');
  expect(html).toContain('&lt;b onmouseover');
  expect(html).not.toMatch(/<b |<i>|javascript:/);
  for (const line of mail.raw.split('\r\n')) expect(line.length).toBeLessThanOrEqual(998);
});

it('puts many alerts into one mail, and names each', async () => {
  const { url, taken } = await mailServer();
  await mailer(url).send([messageAt(), messageAt({ id: 'trn_2', change: { summary: 'another one' } })]);
  expect(subjectOf(taken[0]?.raw ?? '')).toMatch(/^2 alerts, the first: refund-agent/);
  expect(partOf(taken[0]?.raw ?? '', 'text/plain')).toContain('another one');
});

it('logs in, and knows what is worth a retry', async () => {
  const { url, taken } = await mailServer({ authOptional: false, onAuth: ({ username, password }, _session, done) => (username === 'culprit' && password === 'right' ? done(null, { user: username }) : done(new Error('wrong password'))) });
  expect(await mailer(url, { user: 'culprit', password: 'right' }).send([messageAt()])).toMatchObject({ kind: 'delivered' });
  expect(taken).toHaveLength(1);
  // A person corrects the password; the mail is still wanted then.
  expect(await mailer(url, { user: 'culprit', password: 'wrong' }).send([messageAt()])).toEqual({ kind: 'retry', detail: 'SMTP 535', retryAfterMs: 0 });
});

it.each([
  [450, 'retry'],
  [550, 'failed'],
])('a receiver that is refused with %i: %s', async (responseCode, kind) => {
  const { url } = await mailServer({ onRcptTo: (_address, _session, done) => done(Object.assign(new Error('not now'), { responseCode })) });
  expect(await mailer(url).send([messageAt()])).toMatchObject({ kind, detail: `SMTP ${responseCode}` });
});

it('sends nothing in clear where TLS is required', async () => {
  const { url, taken } = await mailServer();
  expect(await mailer(url, { tls: 'required' }).send([messageAt()])).toEqual({ kind: 'retry', detail: 'the mail server offers no TLS; "tls: optional" sends without (ETLS)', retryAfterMs: 0 });
  expect(taken).toEqual([]);
});

it('waits no longer than it may for a server that says nothing', async () => {
  const { url } = await mailServer({ onConnect: () => undefined });
  expect(await mailer(url, { timeout_s: 0.2 }).send([messageAt()])).toEqual({ kind: 'retry', detail: 'no answer in 0.2 s', retryAfterMs: 0 });
});

it('goes to no private address unless that is meant', async () => {
  const { url, taken } = await mailServer();
  const { sink } = mailer(url);
  const post = createPost({ clock: () => NOW_MS }, { allowPrivateAddresses: false });
  const { port } = new URL(url);
  for (const host of ['127.0.0.1', 'localhost', '2130706433', '0x7f.1', '127.1', '[::1]', '169.254.169.254', '[::ffff:127.0.0.1]']) {
    const request = sink.request([messageAt()], { nowMs: NOW_MS, picture: null });
    expect([host, await post({ ...request, url: `smtp://${host}:${port}` }, { timeoutMs: 2000 })]).toEqual([host, { kind: 'unanswered', reason: 'refused: private address; set allow_private_addresses if this is meant' }]);
  }
  expect(taken).toEqual([]);
});
