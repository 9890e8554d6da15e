import { randomUUID } from 'node:crypto';
import type { Clock } from '../../schemas/clock.ts';
import type { Store } from '../../schemas/store.ts';
import type { Identity } from './identity.ts';

/** Who did it: somebody that the gate let in, or a part of Culprit by itself (`system`), or a command on this machine. */
export type Actor = Pick<Identity, 'id' | 'name' | 'address' | 'project'> & { readonly kind: Identity['kind'] | 'command' | 'system' };

export type AuditEntry = {
  readonly actor: Actor;
  /** What, as `resource.verb`: key.create, login, alerts.acknowledge. */
  readonly action: string;
  /** Id of what it was done to; empty: nothing by itself. */
  readonly target?: string;
  readonly result?: 'done' | 'refused' | 'failed';
  /** A short sentence. Never a secret, never message content. */
  readonly detail?: string;
};

/** Appends one row to the audit log; resolves when it is durable. Every write through the API is in it by the gate; call it for what happens elsewhere. */
export type Audit = (entry: AuditEntry) => Promise<void>;

const clip = (text: string): string => (text.length <= 500 ? text : `${text.slice(0, 499)}…`).toWellFormed();

export function createAudit(deps: { readonly store: Store; readonly clock: Clock }): Audit {
  return async ({ actor, action, target = '', result = 'done', detail = '' }) => {
    await deps.store.insert('audit_log', [
      {
        at_ms: deps.clock(),
        entry_id: randomUUID(),
        project: actor.project,
        actor_kind: actor.kind,
        actor: clip(actor.name),
        actor_id: actor.id,
        address: clip(actor.address),
        action: clip(action),
        target: clip(target),
        result,
        detail: clip(detail),
      },
    ]);
  };
}

const VERBS: Readonly<Record<string, string>> = { POST: 'create', PUT: 'replace', PATCH: 'change', DELETE: 'delete' };

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== 'v1');
}

/** What a request does: `POST /v1/alerts/alr_1/acknowledge` is alerts.acknowledge, `DELETE /v1/keys/key_1` keys.delete. */
export function actionOf(method: string, path: string): string {
  const parts = partsOf(path);
  return `${parts[0] ?? ''}.${parts.length > 2 || parts[0] === 'me' ? parts.at(-1) : (VERBS[method] ?? method.toLowerCase())}`;
}

/** Id of what a request is about; empty: nothing that has one yet. */
export function targetOf(path: string): string {
  const [resource, id = ''] = partsOf(path);
  return resource === 'me' ? '' : id;
}
