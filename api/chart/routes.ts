import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import { readAlert } from '../alerts.ts';
import type { ApiDeps } from '../app.ts';
import { notFoundResponse, problemResponses } from '../problem.ts';

/** The chart of an alert as a picture, for messages and tickets. */

const params = z.object({ id: z.string().min(1).max(200).openapi({ param: { name: 'id', in: 'path' } }) });
const route = (path: string, type: string, summary: string) =>
  createRoute({
    method: 'get',
    path,
    summary,
    request: { params },
    responses: { 200: { description: 'Both arms over time, the onset, and the evidence against its threshold.', content: { [type]: { schema: z.string().openapi({ format: 'binary' }) } } }, ...problemResponses, ...notFoundResponse },
  });
const svgRoute = route('/v1/alerts/{id}/chart.svg', 'image/svg+xml', 'The chart of an alert');
const pngRoute = route('/v1/alerts/{id}/chart.png', 'image/png', 'The chart of an alert, 1440 pixels wide');

/** Opened by itself an SVG is a document: it may load and run nothing. */
const headers = { 'cache-control': 'private, max-age=20', 'x-content-type-options': 'nosniff', 'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; sandbox" };

export function registerCharts(app: OpenAPIHono, deps: ApiDeps): void {
  app.openapi(svgRoute, async (context) => {
    const svg = await deps.charts.svg(await readAlert(deps, context.req.valid('param').id));
    return new Response(svg, { headers: { ...headers, 'content-type': 'image/svg+xml; charset=utf-8' } });
  });
  app.openapi(pngRoute, async (context) => {
    const png = await deps.charts.png(await readAlert(deps, context.req.valid('param').id));
    return new Response(Buffer.from(png), { headers: { ...headers, 'content-type': 'image/png' } });
  });
}
