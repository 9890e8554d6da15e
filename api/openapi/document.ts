import { readFileSync } from 'node:fs';
import type { OpenAPIHono } from '@hono/zod-openapi';
import { z } from 'zod';
import { Problem } from '../problem.ts';

/**
 * The OpenAPI document: what the routes say of themselves, what stands before all of them may answer, and an example of each operation.
 * Examples are answers of a real server, shortened (`examples.json`, "METHOD /path"); `test/api/openapi.test.ts` holds them against their schemas.
 */
const Example = z.strictObject({
  parameters: z.record(z.string(), z.string()).optional(),
  request: z.unknown().optional(),
  response: z.unknown().optional(),
  text: z.string().optional().describe('an answer that is no JSON'),
});
const EXAMPLES = z.record(z.string(), Example).parse(JSON.parse(readFileSync(new URL('examples.json', import.meta.url), 'utf8')));

type Schema = { $ref?: string; example?: unknown };
type Media = { example?: unknown; schema?: Schema };
type Answer = { description: string; content?: Record<string, Media> };
type Operation = { parameters?: { name: string; in: string; example?: unknown }[]; requestBody?: { content: Record<string, Media> }; responses: Record<string, Answer> };
type Document = { paths: Record<string, Record<string, Operation>>; components?: { schemas?: Record<string, Schema> } };

const problem = (description: string): Answer => ({ description, content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } } });

/** Answered before the operation itself is asked: by the gate, by the limits on bodies, or because something failed. */
const ALWAYS: Readonly<Record<string, string>> = {
  400: 'The request does not fit; `errors` names each fault.',
  401: 'No key, or one that is not valid.',
  403: 'The key or the login does not allow it.',
  404: 'There is nothing of this name here.',
  421: 'The server is not reached by this name; `public_url` is the setting.',
  500: 'The server failed to answer; its log has the reason.',
  503: 'The store is away or busy; come back after `Retry-After`.',
};
const WITH_BODY: Readonly<Record<string, string>> = {
  413: 'The body is too large.',
  415: 'The body is not of a type that is taken here.',
};

type Info = Parameters<OpenAPIHono['getOpenAPI31Document']>[0];

export function documentOf(app: OpenAPIHono, info: Info): unknown {
  app.openAPIRegistry.register('Problem', Problem);
  // Made anew at each call, so that it may be changed in place; as JSON it is what the types above say of it.
  const document = JSON.parse(JSON.stringify(app.getOpenAPI31Document(info), corrected)) as Document;
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) complete(operation, EXAMPLES[`${method.toUpperCase()} ${path}`] ?? {}, document.components?.schemas ?? {});
  }
  return document;
}

/** A schema that has an example of its own needs no other. */
function complete(operation: Operation, example: z.infer<typeof Example>, schemas: Readonly<Record<string, Schema>>): void {
  const own = ({ schema }: Media): unknown => schema?.example ?? schemas[schema?.$ref?.split('/').at(-1) ?? '']?.example;
  for (const [status, description] of Object.entries({ ...ALWAYS, ...(operation.requestBody === undefined ? {} : WITH_BODY) })) operation.responses[status] ??= problem(description);
  for (const parameter of operation.parameters ?? []) parameter.example = example.parameters?.[parameter.name] ?? parameter.example;
  for (const media of Object.values(operation.requestBody?.content ?? {})) media.example ??= example.request ?? own(media);
  const done = Object.entries(operation.responses).find(([status]) => status.startsWith('2'))?.[1];
  for (const [type, media] of Object.entries(done?.content ?? {})) {
    if (type === 'application/json') media.example ??= example.response ?? own(media);
    else if (example.text !== undefined) media.example ??= example.text;
  }
}

/**
 * Two things that the generator writes and JSON Schema reads otherwise. A pattern with flags is written with them, as …/u: here it is bare,
 * and is read as Unicode. And a named schema or null is written as "all of" both, which nothing is: here it is "any of" them.
 */
function corrected(key: string, value: unknown): unknown {
  if (key === 'pattern' && typeof value === 'string') return value.replace(/(?<=\$)\/u$/, '');
  const pair = NamedOrNull.safeParse(value);
  if (!pair.success) return value;
  const [named, { type: _type, ...said }] = pair.data.allOf;
  return { ...said, anyOf: [named, { type: 'null' }] };
}
const NamedOrNull = z.strictObject({ allOf: z.tuple([z.strictObject({ $ref: z.string() }), z.looseObject({ type: z.tuple([z.string(), z.literal('null')]) })]) });
