/**
 * Whether a browser sent a request from a page of somebody else (CSRF). Browsers say so themselves (Sec-Fetch-Site, over https and on loopback); else the origin
 * that they name with every write tells. Programs send neither. The scheme is not compared: behind a proxy that ends TLS it is another one here than there.
 */
export function isFromElsewhere(header: (name: string) => string | undefined): boolean {
  const site = header('sec-fetch-site');
  // `none`: typed in by a person.
  if (site !== undefined) return site !== 'same-origin' && site !== 'none';
  const origin = header('origin');
  return origin !== undefined && (!URL.canParse(origin) || new URL(origin).host !== hostOf(header('host') ?? ''));
}

/** As URLs spell it: lower case, without the port that a scheme implies. */
function hostOf(host: string): string {
  return host.toLowerCase().replace(/:(80|443)$/, '');
}

/** A path of this server to go on to, or `/`: never another origin, however the address is dressed up (`//evil`, `/\evil`, a tab inside). */
export function pathOnThisServer(wanted: string | undefined): string {
  if (wanted === undefined || wanted.length > 2048 || !wanted.startsWith('/')) return '/';
  const base = 'http://this.invalid';
  if (!URL.canParse(wanted, base)) return '/';
  const url = new URL(wanted, base);
  const path = url.pathname + url.search + url.hash;
  return url.origin === base && !/^\/[/\\]/.test(path) && !url.pathname.startsWith('/login') ? path : '/';
}
