import { OpenAPIHono } from '@hono/zod-openapi';
import { bodyLimit } from 'hono/body-limit';
import { HTTPException } from 'hono/http-exception';
import type { Registry } from '../schemas/registry.ts';
import type { Clock } from '../schemas/clock.ts';
import type { Access } from './access/access.ts';
import { registerAuditLog } from './access/audit-log.ts';
import { registerAccess } from './access/resources.ts';
import type { LogMessage } from '../schemas/log.ts';
import type { AnalystStore, Store } from '../schemas/store.ts';
import { registerAlerts, type Transition } from './alerts.ts';
import { registerAudit, type Audits } from './audit.ts';
import { registerCalls } from './calls.ts';
import type { Charts } from './chart/charts.ts';
import { registerCharts } from './chart/routes.ts';
import { registerChanges } from './changes.ts';
import { registerCompare } from './compare.ts';
import { registerComparisons } from './comparisons.ts';
import { registerContent } from './content.ts';
import { registerEvents, type EventSource } from './events.ts';
import { registerFlags, type Flags } from './flags.ts';
import { registerFlagger } from './flagger.ts';
import { LOOPBACK_NAMES, onlyForHosts } from './host.ts';
import { registerLedger } from './ledger.ts';
import { registerMatrix } from './matrix.ts';
import { createMetricVerdicts } from './metric-verdicts.ts';
import { documentOf } from './openapi/document.ts';
import { pageShell, registerPage } from './page.ts';
import { registerPlan } from './plan.ts';
import { registerParked } from './parked.ts';
import { errorResponse, ProblemError, problemResponse, validationHook } from './problem.ts';
import { registerPrometheus } from './prometheus.ts';
import { registerPrompts } from './prompts.ts';
import { registerQuality } from './quality.ts';
import { registerQuery } from './query.ts';
import { createResults } from './results.ts';
import type { RollbackDesk } from './rollbacks/desk.ts';
import { registerRollbacks } from './rollbacks/resource.ts';
import { registerRollouts } from './rollouts/resource.ts';
import { registerScores } from './scores.ts';
import { registerSilences } from './silencing.ts';
import type { Silences } from './silences.ts';
import { registerSinks, type SinkOverview } from './told.ts';
import { registerSeries } from './series.ts';
import { registerRegistryHooks } from './registry-hooks.ts';
import { createVersionEvents } from './version-events.ts';
import { registerVersions } from './versions.ts';
import { createJudge, registerVerdicts } from './verdicts.ts';

export type ApiSettings = {
  /** An API is of one project: nothing else can be seen through it. */
  project: string;
  /** Shown in the OpenAPI document. */
  version: string;
  /** Of lists that name no `from`. */
  defaultWindowMs: number;
  /** Whether message content is stored, and for how many days. */
  content: { readonly mode: 'off' | 'hashed' | 'stored'; readonly days: number };
  maxEventClients: number;
  /** Events that wait for one client before it is cut off. */
  maxQueuedEvents: number;
  heartbeatMs: number;
  /** Names that this server is reached by (host.ts); null: a gate before it has seen to that. */
  hosts: readonly string[] | null;
  /** Whose webhooks are taken. */
  registries: readonly Registry[];
  /** Where SDKs send to, as an empty page tells it; null: where the page itself is served. */
  ingestUrl: string | null;
  /** The user's own trace viewer, with {trace_id} and perhaps {span_id} in it. */
  traceUrl: string | null;
};

export const defaultApiSettings: ApiSettings = {
  project: 'default',
  version: '0',
  defaultWindowMs: 86_400_000,
  content: { mode: 'off', days: 7 },
  maxEventClients: 100,
  maxQueuedEvents: 256,
  heartbeatMs: 5_000,
  hosts: LOOPBACK_NAMES,
  registries: [],
  ingestUrl: null,
  traceUrl: null,
};

/** What the page says of the pipeline: how far the evidence is behind the clock, null before the first look. */
export type Status = { behind_ms: number | null };

export type ApiDeps = {
  store: Store;
  /** Where SQL that people write runs. */
  analyst: AnalystStore;
  clock: Clock;
  events: EventSource;
  settings: ApiSettings;
  status: () => Status;
  transition: Transition;
  /** Keys, people and the audit log; without it there are no resources for them. */
  access?: Access;
  silences: Silences;
  rollbacks: RollbackDesk;
  flags: Flags;
  charts: Charts;
  /** Where alerts go. */
  sinks: () => SinkOverview;
  audits: Audits;
  /** Appends a message to the log, as the collector does. Throws PermanentError where it cannot be stored. */
  replay: (message: LogMessage) => Promise<void>;
  /** What the process tells Prometheus of itself, where this API may show it. */
  ownMetrics?: () => Promise<string>;
  /** Told of every error that is answered 500 or 503, with what was asked. */
  onFailure: (error: unknown, request: { method: string; path: string }) => void;
};

const limited = (path: RegExp, kib: number) => ({ path, limit: bodyLimit({ maxSize: kib * 1024, onError: () => problemResponse(413, `The body is larger than ${kib} KiB.`) }) });
/** Of every resource that is not listed. */
const SMALL = limited(/^/, 256);
/** First that fits. A push to GitHub may name thousands of files; other webhooks, whose senders are not known yet, hold a prompt at most. */
const BODY_LIMITS = [limited(/^\/v1\/(versions|hooks\/github)$/, 16 * 1024), limited(/^\/v1\/hooks\//, 1024)];

/** Methods of paths that both the collector, which stands before, and the API answer. */
const COLLECTED: ReadonlyMap<string, readonly string[]> = new Map([['/v1/scores', ['POST']]]);

/** Methods that something answers at this path. */
function methodsAt(app: OpenAPIHono, path: string): string[] {
  return ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].filter((method) => app.router.match(method, path)[0].some(([[, route]]) => route.method === method) || COLLECTED.get(path)?.includes(method) === true);
}

/** The API and the page. Read-only but for what people do to alerts. Mount it last: it answers every path that nobody else does. */
export function createApi(deps: ApiDeps): OpenAPIHono {
  const app = new OpenAPIHono({ defaultHook: validationHook });
  if (deps.settings.hosts !== null) app.use('*', onlyForHosts(new Set(deps.settings.hosts)));
  app.use('*', (context, next) => (BODY_LIMITS.find(({ path }) => path.test(context.req.path)) ?? SMALL).limit(context, next));

  const versionEvents = createVersionEvents(deps.store);
  registerCalls(app, deps);
  registerContent(app, deps);
  registerScores(app, deps);
  registerPrompts(app, deps);
  const readResults = createResults(deps);
  registerComparisons(app, deps, readResults);
  const judge = createJudge(deps, createMetricVerdicts(deps));
  registerVerdicts(app, deps, judge, readResults);
  registerFlagger(app, judge);
  registerRollouts(app, deps, judge);
  registerPrometheus(app, deps);
  registerSeries(app, deps);
  registerPlan(app, deps);
  registerAudit(app, deps);
  registerAlerts(app, deps, versionEvents);
  registerCharts(app, deps);
  registerChanges(app, deps);
  registerRollbacks(app, deps);
  registerFlags(app, deps);
  registerSilences(app, deps);
  registerSinks(app, deps);
  registerVersions(app, deps, versionEvents);
  registerRegistryHooks(app, deps, versionEvents);
  registerCompare(app, deps);
  registerMatrix(app, deps);
  registerQuality(app, deps);
  registerLedger(app, deps);
  registerParked(app, deps);
  registerQuery(app, deps);
  registerEvents(app, deps);
  registerPage(app);
  if (deps.access !== undefined) {
    registerAccess(app, { ...deps, access: deps.access });
    registerAuditLog(app, deps);
  }

  app.get('/v1/status', (context) => context.json({ now_ms: deps.clock(), version: deps.settings.version, ingest_url: deps.settings.ingestUrl, trace_url: deps.settings.traceUrl, needs_key: deps.access !== undefined && !deps.access.isOpen(), ...deps.status() }));
  app.openAPIRegistry.registerComponent('securitySchemes', 'key', { type: 'http', scheme: 'bearer', description: 'An API key (`culprit keys create`); not needed on loopback while there is none.' });
  app.get('/openapi.json', (context) => {
    const info = { title: 'Culprit', version: deps.settings.version, description: 'Watches LLM traffic and says which change made it worse.', license: { name: 'Apache-2.0' } };
    return context.json(documentOf(app, { security: [{ key: [] }, {}], openapi: '3.1.0', info }));
  });

  app.all('*', (context) => {
    const { method, path } = context.req;
    // Somebody at the address bar.
    if (method === 'GET' && !path.startsWith('/v1/') && context.req.header('accept')?.includes('text/html') === true) return pageShell(404);
    const named = path.slice(0, 200);
    // What an exporter sends whose endpoint was taken as it stands, without the path of the signal.
    const otlp = method === 'POST' && !path.startsWith('/v1/') ? ' OTLP is sent to /v1/traces and /v1/logs.' : '';
    const methods = methodsAt(app, path);
    if (methods.length > 0) return problemResponse(405, `${named} takes ${methods.join(', ')}, not ${method}.${otlp}`, undefined, { allow: methods.join(', ') });
    return problemResponse(404, `There is nothing at ${named}; /openapi.json lists the resources.${otlp}`);
  });
  app.onError((error, context) => {
    if (error instanceof HTTPException) {
      const status = error.status === 415 ? 415 : error.status >= 500 ? 500 : 400;
      return problemResponse(status, error.message || 'The request does not fit.');
    }
    if (!(error instanceof ProblemError)) deps.onFailure(error, { method: context.req.method, path: context.req.path });
    return errorResponse(error);
  });
  return app;
}
