import { connect, isIP } from 'node:net';
import { createTransport } from 'nodemailer';
import type { MailRequest } from './index.ts';
import type { Address } from './post.ts';

/**
 * One mail over SMTP, by nodemailer, on a connection of ours: to the address that was checked, cut at the deadline. STARTTLS is used
 * wherever it is offered, and the certificate is checked for the name that was configured. Headers are folded and encoded by nodemailer.
 *
 * @returns the status of the server's answer (250: taken; 4xx, 5xx: refused). Throws where there was no answer.
 */
export async function sendMail({ url, auth, requireTls, mail }: MailRequest, { hostname, address, deadline }: { hostname: string; address: Address; deadline: AbortSignal }): Promise<number> {
  const { protocol, port } = new URL(url);
  const secure = protocol === 'smtps:';
  const socket = connect({ host: address.address, port: port === '' ? (secure ? 465 : 587) : Number(port) });
  const cut = (): void => void socket.destroy(Object.assign(new Error('deadline'), { code: 'ETIMEDOUT' }));
  deadline.addEventListener('abort', cut, { once: true });
  try {
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    const transport = createTransport({
      host: hostname,
      ...(isIP(hostname) > 0 ? {} : { tls: { servername: hostname } }),
      secure,
      requireTLS: requireTls && !secure,
      ...(auth === null ? {} : { auth }),
      disableFileAccess: true,
      disableUrlAccess: true,
      getSocket: (_options: unknown, done: (error: Error | null, found: { connection: typeof socket }) => void) => done(null, { connection: socket }),
    });
    const { picture, to, references, headers, ...parts } = mail;
    await transport.sendMail({
      ...parts,
      to: [...to],
      references,
      inReplyTo: references,
      headers: { ...headers },
      attachments: picture === null ? [] : [{ cid: picture.cid, filename: picture.filename, content: Buffer.from(picture.content), contentType: 'image/png', contentDisposition: 'inline' }],
    });
    return 250;
  } catch (error) {
    // What the server said ends up nowhere: it may repeat addresses. That it has no TLS says nothing of the mail.
    if (codeOf(error) !== 'ETLS' && error instanceof Error && 'responseCode' in error && typeof error.responseCode === 'number') return error.responseCode;
    throw error;
  } finally {
    deadline.removeEventListener('abort', cut);
    socket.destroy();
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
