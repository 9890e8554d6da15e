import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createAddresses, networkOf } from '../../../api/access/address.ts';
import { isFromElsewhere, pathOnThisServer } from '../../../api/access/origin.ts';
import { countedFor, createThrottle } from '../../../api/access/throttle.ts';

describe('where one goes after a login', () => {
  it.each(['/', '/alerts/alr_1?x=1#evidence', '/prompts/a%2Fb', '/%2F%2Fevil.example'])('stays: %s', (path) => {
    expect(pathOnThisServer(path)).toBe(path);
  });
  it.each(['//evil.example', '/\\evil.example', '\\\\evil.example', '/\t/evil.example', '/\n/evil.example', 'https://evil.example', 'javascript:alert(1)', '/..//evil.example', '/./\\evil.example', '/login', '/login?next=/login', '', '@evil.example', '/' + 'x'.repeat(5000)])('is the overview instead: %j', (path) => {
    expect(pathOnThisServer(path)).toBe('/');
  });
  it('never leaves the server, whatever is asked for', () => {
    const part = fc.constantFrom('/', '\\', '.', '..', '@', ':', 'evil.example', '%2f', '%5c', '\t', '\n', '\r', ' ', '?', '#', 'http:', '\u0000', 'ﾟ');
    fc.assert(fc.property(fc.array(part, { maxLength: 8 }), (parts) => new URL(pathOnThisServer(parts.join('')), 'http://here.example').origin === 'http://here.example'));
  });
});

describe('whose page sent it', () => {
  const from = (headers: Record<string, string>) => isFromElsewhere((name) => headers[name]);
  it('a program, which names none, or a page of ours', () => {
    expect(from({ host: 'culprit.example' })).toBe(false);
    expect(from({ host: 'Culprit.example', origin: 'https://culprit.example' })).toBe(false);
    expect(from({ host: 'culprit.example:443', origin: 'https://culprit.example' })).toBe(false);
    expect(from({ host: '127.0.0.1:4318', origin: 'http://127.0.0.1:4318', 'sec-fetch-site': 'same-origin' })).toBe(false);
    expect(from({ host: 'culprit.example', 'sec-fetch-site': 'none' })).toBe(false);
    // A form of a page that sends no referrer names no origin.
    expect(from({ host: 'culprit.example', 'sec-fetch-site': 'same-origin', origin: 'null' })).toBe(false);
  });
  it('a page of somebody else', () => {
    for (const origin of ['https://evil.example', 'null', 'https://culprit.example.evil.example', 'http://127.0.0.1:3000', '']) expect(from({ host: 'culprit.example', origin })).toBe(true);
    expect(from({ host: 'culprit.example', 'sec-fetch-site': 'cross-site' })).toBe(true);
    expect(from({ host: 'culprit.example', 'sec-fetch-site': 'same-site' })).toBe(true);
  });
});

describe('the address of a request', () => {
  const of = createAddresses(['10.0.0.0/8', '::1']);
  it('is the peer, whatever a stranger writes into X-Forwarded-For', () => {
    expect(of('198.51.100.7', '203.0.113.9')).toBe('198.51.100.7');
    expect(of('::ffff:198.51.100.7', undefined)).toBe('198.51.100.7');
    expect(of(undefined, '203.0.113.9')).toBe('');
  });
  it('is what the outermost trusted proxy saw; what a client wrote before it does not count', () => {
    expect(of('10.1.2.3', '203.0.113.9')).toBe('203.0.113.9');
    expect(of('::ffff:10.1.2.3', '1.2.3.4, 203.0.113.9, 10.9.9.9')).toBe('203.0.113.9');
    expect(of('::1', '2001:db8::1')).toBe('2001:db8::1');
    expect(of('10.1.2.3', 'not an address, 10.4.4.4')).toBe('10.4.4.4');
    expect(of('10.1.2.3', `${'x,'.repeat(100_000)}203.0.113.9`)).toBe('203.0.113.9');
  });
});

describe('where attempts are counted', () => {
  it('is the address, and of IPv6 the network that a customer has', () => {
    expect(networkOf('198.51.100.7')).toBe('198.51.100.7');
    expect(networkOf('')).toBe('');
    const spelled = ['2001:db8:0:7::1', '2001:0DB8::7:8000:0:0:1', '2001:db8:0:7:ffff:ffff:ffff:ffff', '2001:db8:0:7::198.51.100.7'];
    expect(spelled.map(networkOf)).toEqual(spelled.map(() => '2001:db8:0:7::/64'));
    expect(['::1', 'fe80::1%eth0', '2001:db8:0:8::1'].map(networkOf)).toEqual(['0:0:0:0::/64', 'fe80:0:0:0::/64', '2001:db8:0:8::/64']);
  });
  it('so who has a whole network of addresses has no more attempts than who has one', () => {
    const throttle = createThrottle(() => 0, { free: 5 });
    const attempts = Array.from({ length: 8 }, (_, index) => countedFor(`2001:db8::${index + 1}`, 'mira'));
    for (const attempt of attempts) throttle.failed(attempt);
    expect(throttle.waitS(countedFor('2001:db8::abcd', 'mira'))).toBeGreaterThan(0);
    expect(throttle.waitS(countedFor('2001:db8:1::1', 'mira'))).toBe(0);
  });
});

describe('the throttle of logins', () => {
  it('costs a person who mistypes nothing, and a program that guesses more and more', () => {
    let nowMs = 1_000_000;
    const throttle = createThrottle(() => nowMs, { free: 5 });
    for (let attempt = 0; attempt < 5; attempt += 1) throttle.failed(['a']);
    expect(throttle.waitS(['a'])).toBe(0);
    const waits: number[] = [];
    for (let attempt = 0; attempt < 12; attempt += 1) {
      throttle.failed(['a']);
      waits.push(throttle.waitS(['a', 'b']));
    }
    expect(waits.slice(0, 4)).toEqual([2, 4, 8, 16]);
    expect(waits.at(-1)).toBe(900);
    expect(throttle.waitS(['b'])).toBe(0);
    nowMs += 6 * 3_600_000;
    expect(throttle.waitS(['a'])).toBe(0);
  });
  it('is forgotten by who gets in, and holds a bounded number', () => {
    const throttle = createThrottle(() => 0, { free: 0 });
    throttle.failed(['a']);
    expect(throttle.waitS(['a'])).toBe(2);
    throttle.succeeded(['a']);
    expect(throttle.waitS(['a'])).toBe(0);
    throttle.failed(['first']);
    for (let index = 0; index < 10_000; index += 1) throttle.failed([`b${index}`]);
    expect(throttle.waitS(['first'])).toBe(0);
    expect(throttle.waitS(['b9999'])).toBe(2);
  });
});
