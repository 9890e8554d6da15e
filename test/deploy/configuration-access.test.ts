import { describe, expect, it } from 'vitest';
import { hashOf } from '../../api/access/secrets.ts';
import { loadConfiguration } from '../../deploy/configuration.ts';

const KEY = 'clp_0123456789abcdefghijklmnopqrstuvwxyz0123456';

function load(yaml: string, { argv = [], environment = {}, files = {} }: { argv?: string[]; environment?: Record<string, string>; files?: Record<string, string> } = {}) {
  const loaded = loadConfiguration({
    argv: ['--config', 'c.yaml', ...argv],
    environment,
    readFile: (path) => {
      const text = { 'c.yaml': yaml, ...files }[path];
      if (text === undefined) throw new Error('no such file');
      return text;
    },
  });
  if (loaded.kind !== 'run') throw new Error('help');
  return loaded.config.access;
}

describe('who may do what, as the configuration says it', () => {
  it('holds keys by hash, from files and from variables, and never the keys', () => {
    const access = load(`access: { keys: [{ name: a, project: shop, hash: "${hashOf(KEY)}" }, { name: b, key_file: f, scopes: [read, act] }, { name: c, key_env: MY_KEY }] }`, {
      environment: { MY_KEY: `${KEY}e`, CULPRIT_ACCESS_KEY_FILE: 'first', CULPRIT_PROJECT: 'shop' },
      files: { f: `${KEY}f\n`, first: `${KEY}1\n` },
    });
    expect(access.keys).toEqual([
      { name: 'a', project: 'shop', scopes: ['ingest'], hash: hashOf(KEY) },
      { name: 'b', project: 'default', scopes: ['read', 'act'], hash: hashOf(`${KEY}f`) },
      { name: 'c', project: 'default', scopes: ['ingest'], hash: hashOf(`${KEY}e`) },
      { name: 'key_file', project: 'shop', scopes: ['admin'], hash: hashOf(`${KEY}1`) },
    ]);
    expect(JSON.stringify(access)).not.toContain(KEY.slice(4));
  });

  it('reads the provider’s secret from its file, and lists from a flag', () => {
    const access = load('access: { oidc: { issuer: "https://login.example.com", client_id: culprit, client_secret_file: s, roles: [{ claim: sre, role: responder }] } }', { argv: ['--access-trusted-proxies', '10.0.0.0/8, ::1'], files: { s: 'secret\n' } });
    expect(access.oidc).toMatchObject({ client_secret: 'secret', role_claim: 'groups', roles: [{ claim: 'sre', role: 'responder', project: '*' }] });
    expect(access.trusted_proxies).toEqual(['10.0.0.0/8', '::1']);
  });

  it.each([
    ['a key too short to be random', 'access: { keys: [{ name: a, key_env: MY_KEY }] }', /access\.keys\.0\.key_env .*holds no key; give 32 to 512 random characters/],
    ['a variable that is not set', 'access: { keys: [{ name: a, key_env: NO_KEY }] }', /names NO_KEY, which is not set/],
    ['a file that is not there', 'access: { keys: [{ name: a, key_file: nowhere }] }', /cannot be read/],
    ['two sources', `access: { keys: [{ name: a, key_env: MY_KEY, hash: "${hashOf(KEY)}" }] }`, /set exactly one of hash, key_file and key_env/],
    ['no hash', 'access: { keys: [{ name: a, hash: "deadbeef" }] }', /is not sha256: and 64 hex digits; make it with/],
    ['one key for two projects', `access: { keys: [{ name: a, project: x, hash: "${hashOf(KEY)}" }, { name: b, project: y, hash: "${hashOf(KEY)}" }] }`, /holds the key of b twice/],
    ['an unknown scope', `access: { keys: [{ name: a, scopes: [root], hash: "${hashOf(KEY)}" }] }`, /access\.keys\.0\.scopes\.0/],
    ['no network', 'access: { trusted_proxies: ["10.0.0.0/99"] }', /is no address and no network/],
    ['a provider over plain http', 'access: { oidc: { issuer: "http://login.example.com", client_id: c, roles: [{ claim: x, role: viewer }] } }', /is not https, so tokens could be read/],
    ['a provider that is no URL', 'access: { oidc: { issuer: "login", client_id: c, roles: [{ claim: x, role: viewer }] } }', /is not an http\(s\) URL/],
    ['a provider that lets nobody in', 'access: { oidc: { issuer: "https://login.example.com", client_id: c } }', /access\.oidc\.roles/],
  ])('refuses %s, and repeats no secret', (_name, yaml, message) => {
    const attempt = () => load(yaml, { environment: { MY_KEY: 'short-secret' } });
    expect(attempt).toThrow(message);
    try {
      attempt();
    } catch (error) {
      expect(String(error)).not.toMatch(/short-secret|deadbeef/);
    }
  });
});
