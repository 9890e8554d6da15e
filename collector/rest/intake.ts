import { PermanentError } from '../../schemas/errors.ts';
import type { Refusal } from '../admission.ts';
import type { Answer, Intake, ReadHeader, Taken } from '../intake.ts';
import { vendors } from './index.ts';
import { logsRequestOf } from './record.ts';
import type { Route, Vendor } from './route.ts';

/** Takes requests at the vendors' paths, each by the first route that fits. Null where none does. */
export function restIntake(request: { readonly path: string; readonly method: string; readonly header: ReadHeader }): Intake | null {
  for (const vendor of vendors) {
    for (const route of vendor.routes) {
      if (route.method !== request.method) continue;
      const match = route.path.exec(request.path);
      if (match !== null) return intakeAt(vendor, route, { groups: match.slice(1), mediaType: mediaTypeOf(request.header) });
    }
  }
  return null;
}

function intakeAt(vendor: Vendor, route: Route, { groups, mediaType }: { readonly groups: readonly string[]; readonly mediaType: string }): Intake {
  const isJson = mediaType === '' || mediaType === 'application/json' || mediaType.endsWith('+json') || route.method === 'GET' || route.method === 'DELETE';
  return {
    methods: [route.method],
    // A form or plain text could be posted by any page that a browser shows.
    fault: isJson ? null : { status: 415, reason: 'content_type', message: 'Content-Type must be application/json' },
    ignored: null,
    read(body, project): Taken | Refusal {
      const reading = route.read({ project, groups: groups.map(decoded), body: jsonOf(body) });
      if (reading.kind === 'unserved') return { status: 404, reason: 'not_served', message: reading.message };
      if (reading.kind === 'text') return { message: null, answer: { status: 200, headers: { 'content-type': 'text/plain; charset=utf-8' }, body: Buffer.from(reading.text) } };
      const answer = json(reading.status, reading.answer);
      if (reading.scores.length === 0) return { message: null, answer };
      return { message: { signal: 'logs', encoding: 'protobuf', body: logsRequestOf(reading.scores) }, answer };
    },
    refuse: ({ status, message }, headers) => json(status, vendor.refusal(status, message.slice(0, 1024)), headers),
  };
}

function mediaTypeOf(header: ReadHeader): string {
  const [mediaType = ''] = (header('content-type') ?? '').split(';', 1);
  return mediaType.trim().toLowerCase();
}

function jsonOf(body: Buffer): unknown {
  if (body.length === 0) return undefined;
  try {
    return JSON.parse(body.toString('utf8'));
  } catch (cause) {
    throw new PermanentError(`the body is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** A path's part; one with broken escapes stays as it is. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function json(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: Buffer.from(JSON.stringify(body)) };
}
