/** The login page: a form in plain HTML, made on the server, with nothing of a request in it but what is escaped here. */
export type LoginFault =
  | { readonly kind: 'password' | 'key' }
  | { readonly kind: 'wait'; readonly seconds: number }
  | { readonly kind: 'provider'; readonly why: string };

export type LoginPage = {
  readonly next: string;
  readonly fault: LoginFault | null;
  /** Whether anybody has a password here. */
  readonly hasPeople: boolean;
  /** Host of the OpenID provider, if there is one. */
  readonly provider: string | null;
  readonly headers: Readonly<Record<string, string>>;
};

const HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  // Not `no-referrer`: a browser would then name no origin with the form, and the form would look like somebody else's.
  'referrer-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cache-control': 'no-store',
};

export function loginPage(status: number, page: LoginPage): Response {
  return new Response(htmlOf(page), { status, headers: { ...HEADERS, ...page.headers } });
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function sentenceOf(fault: LoginFault): string {
  switch (fault.kind) {
    case 'password':
      return 'There is nobody with this name and password.';
    case 'key':
      return 'This key is not known here, or expired or was revoked.';
    case 'wait':
      return `Too many attempts failed. The next one may be made in ${fault.seconds} s.`;
    case 'provider':
      return `You are not let in: ${fault.why}.`;
  }
}

function htmlOf({ next, fault, hasPeople, provider }: LoginPage): string {
  const alert = fault === null ? '' : `<p class="notice bad" role="alert" id="fault">${escaped(sentenceOf(fault))}</p>`;
  const described = fault === null ? '' : ' aria-describedby="fault"';
  const hidden = `<input type="hidden" name="next" value="${escaped(next)}">`;
  const atProvider = provider === null ? '' : `<p><a class="button go wide" href="/login/oidc?next=${encodeURIComponent(next)}">Log in at ${escaped(provider)}</a></p>`;
  const people = hasPeople
    ? `<form method="post" action="/login">${hidden}
        <label for="name">Name</label><input id="name" name="name" autocomplete="username" autocapitalize="none" spellcheck="false" required maxlength="128"${described}>
        <label for="password">Password</label><input id="password" name="password" type="password" autocomplete="current-password" required maxlength="1024">
        <button type="submit" class="${provider === null ? 'go ' : ''}wide">Log in</button>
      </form>`
    : '';
  const byKey = `<form method="post" action="/login">${hidden}
        <label for="key">API key</label><input id="key" name="key" type="password" autocomplete="off" required maxlength="512" placeholder="clp_…"${described}>
        <button type="submit" class="wide">Log in with the key</button>
      </form>`;
  const key = hasPeople || provider !== null ? `<details${fault?.kind === 'key' ? ' open' : ''}><summary>With an API key</summary>${byKey}</details>` : byKey;
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>Log in · Culprit</title>
    <link rel="icon" href="/assets/icon.svg" type="image/svg+xml">
    <link rel="stylesheet" href="/assets/style.css">
    <link rel="stylesheet" href="/assets/login.css">
  </head>
  <body class="login">
    <main>
      <p class="brand"><img src="/assets/icon.svg" width="18" height="18" alt=""> Culprit</p>
      <h1>Log in</h1>
      ${alert}
      ${atProvider}${people}${key}
    </main>
  </body>
</html>
`;
}
