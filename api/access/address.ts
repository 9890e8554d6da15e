import { BlockList, isIPv4, isIPv6 } from 'node:net';

/**
 * Where a request comes from. What a proxy says of it (X-Forwarded-For) is believed only from proxies that the configuration names:
 * anybody else may write there what they like.
 */
export function createAddresses(trustedProxies: readonly string[]): (peer: string | undefined, forwardedFor: string | undefined) => string {
  const trusted = new BlockList();
  for (const entry of trustedProxies) {
    const [network = '', bits] = entry.split('/');
    const family = isIPv4(network) ? 'ipv4' : 'ipv6';
    if (bits === undefined) trusted.addAddress(network, family);
    else trusted.addSubnet(network, Number(bits), family);
  }
  const isTrusted = (address: string): boolean => (isIPv4(address) ? trusted.check(address, 'ipv4') : isIPv6(address) && trusted.check(address, 'ipv6'));

  return (peer, forwardedFor) => {
    let address = plain(peer ?? '');
    if (forwardedFor === undefined || !isTrusted(address)) return address;
    // From the nearest proxy outwards, up to the first that is not ours: what stands further out it may have made up.
    for (const hop of forwardedFor.slice(-2048).split(',').toReversed()) {
      const named = plain(hop.trim());
      if (!isIPv4(named) && !isIPv6(named)) break;
      address = named;
      if (!isTrusted(address)) break;
    }
    return address;
  };
}

/** Where somebody is who may have many addresses: of IPv6 the /64 that a customer is given, whose 2^64 addresses would be as many first attempts. */
export function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  // As URLs spell it there is one way to write each, and no IPv4 at its end.
  const [head = '', tail = ''] = new URL(`http://[${address.replace(/%.*$/, '')}]`).hostname.slice(1, -1).split('::');
  const groupsOf = (part: string): string[] => part.split(':').filter((group) => group !== '');
  const left = groupsOf(head);
  const zeros = Array.from({ length: 8 - left.length - groupsOf(tail).length }, () => '0');
  return `${[...left, ...zeros, ...groupsOf(tail)].slice(0, 4).join(':')}::/64`;
}

/** A socket that listens on both families names IPv4 peers as `::ffff:192.0.2.1`. */
function plain(address: string): string {
  return address.startsWith('::ffff:') && isIPv4(address.slice(7)) ? address.slice(7) : address;
}
