import { Webhook as Verifier } from 'standardwebhooks';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { createWebhookSink } from '../../../api/sinks/webhook.ts';
import { HOSTILE, hostileAlert, messageAt } from './alert.ts';

/** The webhook as CloudEvents 1.0; as Standard Webhooks it is driven in deliver.test.ts. */

const secret = `whsec_${Buffer.alloc(32, 'not a secret').toString('base64')}`;
/** CloudEvents 1.0.2, "Context Attributes". */
const CloudEvent = z.strictObject({
  specversion: z.literal('1.0'), id: z.string().min(1), source: z.string().regex(/^\/[\w.~!*'()%/-]*$/), type: z.string().regex(/^dev\.culprit\.alert\.(open|updated|acknowledged|resolved)$/), subject: z.string().min(1), time: z.iso.datetime(),
  datacontenttype: z.literal('application/json'), data: z.looseObject({ schema: z.literal('culprit.alert/1') }),
});

it('is a CloudEvent in structured mode, signed like any other', () => {
  const sink = createWebhookSink({ kind: 'webhook', name: 'events', url: 'https://example.com/', secret, events: ['alert.open'], timeout_s: 5, format: 'cloudevents' });
  for (const message of [messageAt(), messageAt({ type: 'alert.resolved', change: { prompt: null } }), messageAt({ change: hostileAlert() })]) {
    const nowMs = Date.now();
    const request = sink.request([message], { nowMs, picture: null });
    if ('mail' in request) throw new Error('a mail');
    expect(request.headers['content-type']).toBe('application/cloudevents+json; charset=utf-8');
    expect(new Verifier(secret).verify(request.body, { ...request.headers })).toMatchObject({ id: 'trn_1' });
    const event = CloudEvent.parse(JSON.parse(request.body));
    expect([event.id, event.subject]).toEqual(['trn_1', 'alr_1']);
  }
});

it('names a hostile prompt in its source as a URI reference', () => {
  const sink = createWebhookSink({ kind: 'webhook', name: 'events', url: 'https://example.com/', secret, events: ['alert.open'], timeout_s: 5, format: 'cloudevents' });
  const request = sink.request([messageAt({ change: { prompt: HOSTILE } })], { nowMs: Date.now(), picture: null });
  const { source } = CloudEvent.parse(JSON.parse('mail' in request ? '' : request.body));
  expect(new URL(source, 'https://example.com').pathname).toBe(source);
});
