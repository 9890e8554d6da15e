import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { loadConfiguration } from '../../deploy/configuration.ts';

/** The chart, as Helm renders it: what is in it, and that our own loader takes its configuration. */

const chart = join(import.meta.dirname, '../../deploy/helm/culprit');
const helm = ['helm', join(homedir(), 'go/bin/helm')].find((path) => spawnSync(path, ['version'], { stdio: 'ignore' }).status === 0);
type Json = Record<string, any>; // eslint-disable-line -- what Helm rendered is read as what it says
beforeEach((context) => {
  if (helm === undefined) context.skip('helm is not on the path');
});

const run = (args: readonly string[]) => spawnSync(helm ?? '', args, { encoding: 'utf8' });

function rendered(sets: readonly string[] = [], json: readonly string[] = []): Json[] {
  const { status, stdout, stderr } = run(['template', 'shop', chart, '--kube-version', '1.30.0', ...sets.flatMap((set) => ['--set', set]), ...json.flatMap((set) => ['--set-json', set])]);
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return parseAllDocuments(stdout).flatMap((document) => {
    expect('errors' in document ? document.errors : []).toEqual([]);
    const value = ('toJS' in document ? document.toJS() : null) as Json | null;
    return value === null ? [] : [value];
  });
}

const of = (documents: readonly Json[], kind: string): Json[] => documents.filter((document) => document['kind'] === kind);
const EVERYTHING = ['analyzer.keda.enabled=true', 'api.ingress.enabled=true', 'podMonitor.enabled=true', 'prometheusRule.enabled=true'];

describe('the Helm chart', { timeout: 60_000 }, () => {
  it('is well formed', () => {
    expect(run(['lint', '--strict', chart])).toMatchObject({ status: 0 });
  });

  it('has the three roles, each with what it needs to run among strangers', () => {
    const documents = rendered();
    const deployments = of(documents, 'Deployment');
    expect(deployments.map(({ metadata }) => metadata.name)).toEqual(expect.arrayContaining(['shop-collector', 'shop-analyzer', 'shop-api']));
    for (const { spec, metadata } of deployments) {
      const pod = spec.template.spec;
      const [container] = pod.containers;
      expect(pod).toMatchObject({ automountServiceAccountToken: false, enableServiceLinks: false, securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } } });
      expect(container.securityContext).toEqual({ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } });
      for (const [probe, path] of [['startupProbe', '/readyz'], ['readinessProbe', '/readyz'], ['livenessProbe', '/livez']] as const) expect(container[probe].httpGet).toEqual({ path, port: 'operations' });
      expect(container.resources).toMatchObject({ requests: { cpu: expect.anything(), memory: expect.anything() }, limits: { memory: expect.anything() } });
      // The end takes: not ready, then what is in flight.
      expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(10 + 30);
      expect(metadata.name).toBe(`shop-${container.args[0]}`);
      const selector = JSON.stringify(spec.selector.matchLabels);
      for (const kind of ['PodDisruptionBudget', 'NetworkPolicy']) {
        const { spec: beside = {} } = of(documents, kind).find((document) => document['metadata'].name === metadata.name) ?? {};
        expect(JSON.stringify((beside.selector ?? beside.podSelector)?.matchLabels), kind).toBe(selector);
      }
    }
    expect(of(documents, 'Secret')).toEqual([]);
    expect(of(documents, 'HorizontalPodAutoscaler').map(({ spec }) => spec.scaleTargetRef.name)).toEqual(['shop-collector']);
  });

  it('leaves the number of analyzers to KEDA where that is on, by the lag of both topics', () => {
    const documents = rendered(EVERYTHING);
    const replicas = (name: string): unknown => of(documents, 'Deployment').find(({ metadata }) => metadata.name === name)?.['spec'].replicas;
    expect([replicas('shop-analyzer'), replicas('shop-collector'), replicas('shop-api')]).toEqual([undefined, undefined, 2]);
    const [scaled] = of(documents, 'ScaledObject');
    expect(scaled?.['spec'].triggers.map((trigger: Json) => trigger['metadata'].topic)).toEqual(['otlp_spans', 'otlp_logs']);
    expect(of(documents, 'Ingress')).toHaveLength(1);
    expect(of(documents, 'PrometheusRule')[0]?.['spec'].groups[0].rules.length).toBeGreaterThan(10);
  });

  it('leaves the number of api processes to the processor where that is on, as docs/RUNBOOK.md plans it', () => {
    const documents = rendered(['api.autoscaling.enabled=true']);
    expect(of(documents, 'HorizontalPodAutoscaler').map(({ spec }) => spec.scaleTargetRef.name)).toEqual(['shop-collector', 'shop-api']);
    expect(of(documents, 'Deployment').map(({ metadata, spec }) => [metadata.name, spec.replicas])).toEqual(expect.arrayContaining([['shop-collector', undefined], ['shop-analyzer', 2], ['shop-api', undefined]]));
  });

  it('passes on variables and rules of its operators, to every role', () => {
    const env = [{ name: 'SLACK_WEBHOOK', valueFrom: { secretKeyRef: { name: 'sinks', key: 'slack' } } }];
    const egress = [{ ports: [{ port: 4318, protocol: 'TCP' }] }];
    const documents = rendered([], [`env=${JSON.stringify(env)}`, `networkPolicy.egress=${JSON.stringify(egress)}`]);
    for (const { spec } of of(documents, 'Deployment')) expect(spec.template.spec.containers[0].env).toEqual([{ name: 'CULPRIT_CONFIG', value: '/etc/culprit/culprit.yaml' }, ...env]);
    for (const { spec } of of(documents, 'NetworkPolicy')) expect(spec.egress).toContainEqual(egress[0]);
  });

  it('says where people reach it, and names no file of a secret that there is not', () => {
    const configuration = (sets: readonly string[]): unknown => parse(of(rendered(sets), 'ConfigMap')[0]?.['data']['culprit.yaml']);
    expect(configuration([])).not.toHaveProperty('public_url');
    expect(configuration(['api.ingress.enabled=true'])).toMatchObject({ public_url: 'http://culprit.example.com' });
    expect(configuration(['api.ingress.enabled=true', 'api.ingress.tlsSecret=tls'])).toMatchObject({ public_url: 'https://culprit.example.com' });
    expect(configuration(['api.ingress.enabled=true', 'config.public_url=https://culprit.test'])).toMatchObject({ public_url: 'https://culprit.test' });
    expect(JSON.stringify(configuration(['existingSecret=', 'secretKeys.saslKey=kafka']))).not.toContain('/run/secrets');
  });

  it('gives every role a configuration that our own loader takes, with the files of the secret', () => {
    const [configuration] = of(rendered(['config.project=shop', 'secretKeys.saslKey=kafka-password']), 'ConfigMap');
    const text = String(configuration?.['data']['culprit.yaml']);
    const loaded = loadConfiguration({
      argv: ['--config', 'culprit.yaml'],
      environment: {},
      readFile: (path) => (path === 'culprit.yaml' ? text : path === '/run/secrets/culprit/access-key' ? `clp_${'k'.repeat(43)}` : expect.fail(`reads ${path}`)),
    });
    expect(loaded).toMatchObject({
      kind: 'run',
      config: {
        project: 'shop',
        host: '0.0.0.0',
        operations: { host: '0.0.0.0', port: 9464, drain_wait_s: 10 },
        clickhouse: { url: 'http://clickhouse:8123', password_file: '/run/secrets/culprit/clickhouse-password' },
        kafka: { brokers: ['kafka:9092'], sasl: { password_file: '/run/secrets/culprit/kafka-password' } },
        access: { keys: [{ name: 'key_file', scopes: ['admin'] }] },
      },
    });
  });
});

describe('what the chart holds a copy of', () => {
  it('is what it was copied from', async () => {
    const [copy, original] = await Promise.all([readFile(join(chart, 'rules.yaml'), 'utf8'), readFile(join(chart, '../../prometheus/rules.yaml'), 'utf8')]);
    expect(copy).toBe(original);
  });
});
