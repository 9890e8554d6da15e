import type { Context } from 'hono';
import { grants, type Scope } from '../../schemas/access.ts';
import { ProblemError } from '../problem.ts';

/** Who asks. The gate puts it beside each request; nothing in a request can. */
export type Identity = {
  /** anyone: nobody had to say who they are (loopback without keys). */
  readonly kind: 'key' | 'person' | 'anyone';
  /** key_…, or the name of a person; empty for anyone. */
  readonly id: string;
  /** As people read it; empty for anyone. */
  readonly name: string;
  /** The project that the request sees; there is no other way to name one. */
  readonly project: string;
  readonly scopes: readonly Scope[];
  /** Whether it may change to another project: a person who has all. */
  readonly seesEveryProject: boolean;
  /** Whether it is a login with a password of Culprit's own, which its person may change. */
  readonly hasPassword: boolean;
  /** Where the request came from. */
  readonly address: string;
};

/** What a handler finds in `context.env`. The gate puts identity and note there; both are absent where an API is asked without a gate before it (tests). */
export type RequestBindings = {
  readonly incoming?: { readonly socket: { readonly remoteAddress?: string | undefined } };
  readonly identity?: Identity;
  readonly note?: AuditNote;
};
/** What a handler adds to its line of the audit log. */
export type AuditNote = { target?: string; detail?: string };

function bindingsOf(context: Context): RequestBindings {
  // Without an adapter Hono leaves `env` undefined, whatever its type says; what the gate puts there has this type.
  return (context.env as RequestBindings | undefined) ?? {};
}

export function identityOf(context: Context): Identity | null {
  return bindingsOf(context).identity ?? null;
}

/** For a handler to say what was done to what; the gate writes the line when the answer is known. Never a secret. */
export function noteFor(context: Context, note: AuditNote): void {
  Object.assign(bindingsOf(context).note ?? {}, note);
}

/** Who acts, in words that are kept with what was done: the person or key; what the request says of itself counts only where nobody had to log in. */
export function actorOf(context: Context, said?: string): string {
  const identity = identityOf(context);
  return identity === null || identity.kind === 'anyone' ? (said ?? '') : identity.name;
}

/** Throws ProblemError 403. The gate asks too; a handler of what only few may do asks by itself, so that no trick with a path goes around it. */
export function requireScope(context: Context, needed: Scope): Identity {
  const identity = identityOf(context);
  if (identity === null || !grants(identity.scopes, needed)) throw new ProblemError(403, `This needs the scope ${needed}.`);
  return identity;
}
