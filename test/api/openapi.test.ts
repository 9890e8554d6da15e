import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { configuredKey, startGuarded, type Guarded } from '../deploy/guarded.ts';

/** The OpenAPI document is what people write clients from: every operation has an example, and the examples are what it says. */
type Json = Record<string, any>; // eslint-disable-line -- the document is read as what it says
let server: Guarded;
let document: Json;
const admin = configuredKey('shop', ['admin']);

beforeAll(async () => {
  server = await startGuarded({ access: { keys: [admin.entry] } });
  document = (await (await server.ask('/openapi.json', { key: admin.secret })).json()) as Json;
}, 60_000);
afterAll(() => server.close());

function operations(): { name: string; operation: Json }[] {
  return Object.entries<Json>(document['paths']).flatMap(([path, methods]) => Object.entries<Json>(methods).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, operation })));
}

/** A schema of the document, with what it refers to beside it. Patterns with classes of Unicode are left out: zod reads them without the flag that they need. */
function fits(schema: Json, value: unknown): string[] {
  const whole = JSON.parse(JSON.stringify({ ...schema, $defs: document['components']['schemas'] }, (key, part) => (key === 'pattern' && String(part).includes('\\p{') ? undefined : part)).replaceAll('#/components/schemas/', '#/$defs/'));
  const result = z.fromJSONSchema(whole).safeParse(value);
  return result.success ? [] : result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
}

describe('the OpenAPI document', () => {
  it('has an example of every operation: what is sent, what is needed in the address, and what comes back', () => {
    const missing = operations().flatMap(({ name, operation }) => {
      const parameters: Json[] = operation['parameters'] ?? [];
      const needed = parameters.filter(({ required, example, schema }) => required === true && example === undefined && schema['example'] === undefined).map((parameter) => `${name} ${parameter['name']}`);
      const sent = Object.entries<Json>(operation['requestBody']?.content ?? {}).filter(([, { example }]) => example === undefined).map(([type]) => `${name} sent as ${type}`);
      const done = Object.entries<Json>(operation['responses']).find(([status]) => status.startsWith('2'))?.[1] as Json;
      const answered = Object.entries<Json>(done['content'] ?? {}).filter(([type, { example }]) => type === 'application/json' && example === undefined).map(() => `${name} answer`);
      return [...needed, ...sent, ...answered];
    });
    expect(missing).toEqual([]);
    expect(operations().length).toBeGreaterThan(50);
  });

  it('says of each example what it is', () => {
    const wrong = operations().flatMap(({ name, operation }) => {
      const done = Object.entries<Json>(operation['responses']).find(([status]) => status.startsWith('2'))?.[1] as Json;
      const pairs = [operation['requestBody']?.content?.['application/json'], done['content']?.['application/json']].filter((media) => media?.example !== undefined);
      return pairs.flatMap(({ schema, example }: Json) => fits(schema as Json, example).map((fault) => `${name} ${fault}`));
    });
    expect(wrong).toEqual([]);
  });

  // Where a schema is "all of" another, a part that both describe has to be both: a kind that was added to it fitted nothing (an odds ratio in GET /v1/comparisons/{id}).
  it('describes no part of an answer twice', () => {
    const schemas: Json = document['components']['schemas'];
    const ownParts = (schema: Json): string[] => Object.keys(schema['properties'] ?? {});
    const partsOf = (schema: Json): string[] => [...ownParts(schema), ...(schema['$ref'] === undefined ? [] : partsOf(schemas[String(schema['$ref']).split('/').at(-1) ?? ''])), ...(schema['allOf'] ?? []).flatMap(partsOf)];
    const twice: string[] = [];
    JSON.stringify(document, (key, value: Json | null) => {
      if (!Array.isArray(value?.['allOf'])) return value;
      const parts = partsOf(value);
      const repeated = parts.filter((part, index) => parts.indexOf(part) !== index);
      if (repeated.length > 0) twice.push(`${key}: ${repeated.join(', ')}`);
      return value;
    });
    expect(twice).toEqual([]);
  });

  it('says what may stand before any operation', () => {
    for (const { name, operation } of operations()) {
      expect(Object.keys(operation['responses']), name).toEqual(expect.arrayContaining(['400', '401', '403', '404', '421', '503']));
      if (operation['requestBody'] !== undefined) expect(Object.keys(operation['responses']), name).toEqual(expect.arrayContaining(['413', '415']));
    }
  });

  it('takes no body without end, whichever operation', async () => {
    const host = new URL(server.url).host;
    const asked = operations().filter(({ name, operation }) => operation['requestBody'] !== undefined && !name.endsWith(' /v1/scores')); // the collector's, which has limits of its own
    const refused = await Promise.all(asked.map(async ({ name }) => {
      const [method = '', path = ''] = name.split(' ');
      // By what it says of itself: whether all of it is sent before the answer is left to chance otherwise.
      const answer = await server.raw(`${method} ${path.replace('{kind}', 'github').replace(/\{\w+\}/g, 'x')} HTTP/1.1\r\nhost: ${host}\r\nauthorization: Bearer ${admin.secret}\r\ncontent-type: application/json\r\ncontent-length: ${17 * 1024 * 1024}\r\nconnection: close\r\n\r\n`);
      return [name, answer.split('\r\n', 1)[0]];
    }));
    expect(refused).toEqual(asked.map(({ name }) => [name, 'HTTP/1.1 413 Payload Too Large']));
    expect(refused.length).toBeGreaterThan(15);
  });

  it('is answered with what is wrong and where, whatever does not fit', async () => {
    const unhelpful: string[] = [];
    let refused = 0;
    for (const { name, operation } of operations()) {
      const example: unknown = operation['requestBody']?.content?.['application/json']?.example;
      if (example === undefined) continue;
      const [method = '', path = ''] = name.split(' ');
      const parameters: Json[] = operation['parameters'] ?? [];
      const address = path.replace(/\{(\w+)\}/g, (_, wanted: string) => encodeURIComponent(parameters.find((parameter) => parameter['name'] === wanted)?.['example'] ?? 'x'));
      for (const body of unfit(example)) {
        const answer = await server.ask(address, { method, key: admin.secret, body });
        const text = await answer.text();
        if (answer.status === 400) refused += 1;
        if (answer.status >= 500 || /Invalid input("|;|$)/.test(text)) unhelpful.push(`${name} ${JSON.stringify(body)}: ${answer.status} ${text}`);
      }
    }
    expect(unhelpful).toEqual([]);
    expect(refused).toBeGreaterThan(60);
  });
});

/** Bodies of other kinds; and the one that fits with each of its values, in turn, of a kind that it cannot be. */
function unfit(fitting: unknown): unknown[] {
  const parts = typeof fitting === 'object' && fitting !== null ? Object.keys(fitting) : [];
  return [{}, [], 'text', 7, ...parts.flatMap((part) => [{ nothing: [true] }, true, ''].map((value) => ({ ...(fitting as Json), [part]: value })))]; // an object, as its parts say
}
