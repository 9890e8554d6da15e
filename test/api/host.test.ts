import { Hono } from 'hono';
import { describe, expect, it } from 'vitest';
import { LOOPBACK_NAMES, onlyForHosts } from '../../api/host.ts';

describe('onlyForHosts', () => {
  const app = new Hono().use('*', onlyForHosts(new Set([...LOOPBACK_NAMES, 'culprit.example.com']))).get('/v1/calls', (context) => context.text('calls'));

  it.each(['http://127.0.0.1:4318', 'http://localhost:4318', 'http://[::1]:4318', 'https://culprit.example.com', 'http://LOCALHOST'])('answers for %s', async (origin) => {
    expect((await app.request(`${origin}/v1/calls`)).status).toBe(200);
  });

  it.each(['http://rebound.attacker.example:4318', 'http://127.0.0.1.attacker.example', 'http://192.168.1.5:4318'])('does not for %s', async (origin) => {
    const answer = await app.request(`${origin}/v1/calls`);
    expect(answer.status).toBe(421);
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
  });
});
