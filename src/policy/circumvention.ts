// Names that exist to get round a filter: canaries, relays, names that cover others, and public encrypted resolvers. They are
// part of the gateway, not of a list, so that no missing list opens them. Each covers itself and all below it.

import type { Seed } from '../blocklist/types.ts';
import { createSuffixTable, type SuffixTable } from './suffix-table.ts';

/** `canary`: blocked for every group, because the block is the signal that software waits for. The others: by the group's `bypass`. */
type CircumventionKind = 'canary' | 'relay' | 'cover' | 'resolver';

export type CircumventionName = { readonly name: string; readonly kind: CircumventionKind };

export const CIRCUMVENTION: readonly CircumventionName[] = [
  ...named('canary', [
    'use-application-dns.net', // Firefox leaves its own DNS over HTTPS off
    'mask.icloud.com', // Apple's relay turns itself off and tells the user
    'mask-h2.icloud.com',
    'mask-canary.icloud.com',
  ]),
  ...named('relay', ['mask-api.icloud.com', 'mask.apple-dns.net', 'mask-t.apple-dns.net']),
  ...named('cover', ['cloudflare-ech.com']), // the name that an encrypted client hello shows instead of the site's
  // what browsers, phones and routers offer by name; the hundreds of others are the business of a list
  ...named('resolver', [
    'dns.google',
    'dns.google.com',
    '8888.google',
    'cloudflare-dns.com',
    'dns.cloudflare.com',
    'cloudflare-gateway.com',
    'one.one.one.one',
    'dns.quad9.net',
    'dns9.quad9.net',
    'dns10.quad9.net',
    'dns11.quad9.net',
    'dns12.quad9.net',
    'doh.opendns.com',
    'dns.opendns.com',
    'doh.familyshield.opendns.com',
    'sandbox.opendns.com',
    'doh.umbrella.com',
    'dns.umbrella.com',
    'dns.sse.cisco.com',
    'dns.nextdns.io',
    'firefox.dns.nextdns.io',
    'dns.adguard.com',
    'dns-family.adguard.com',
    'dns-unfiltered.adguard.com',
    'dns.adguard-dns.com',
    'family.adguard-dns.com',
    'unfiltered.adguard-dns.com',
    'freedns.controld.com',
    'dns.controld.com',
    'dns.mullvad.net',
    'doh.mullvad.net',
    'doh.cleanbrowsing.org',
    'family-filter-dns.cleanbrowsing.org',
    'adult-filter-dns.cleanbrowsing.org',
    'security-filter-dns.cleanbrowsing.org',
    'dns0.eu',
    'joindns4.eu',
    'doh.dns.apple.com',
    'doh.xfinity.com',
    'doh.cox.net',
    'dns.telekom.de',
    'dns.aa.net.uk',
    'dns.sb',
    'doh.sb',
    'doh.li',
    'dns.alidns.com',
    'doh.pub',
    'dot.pub',
    'dns.pub',
    'doh.360.cn',
    'dns.twnic.tw',
    'public.dns.iij.jp',
    'dns.switch.ch',
    'odvr.nic.cz',
    'ordns.he.net',
    'wikimedia-dns.org',
    'max.rethinkdns.com',
    'sky.rethinkdns.com',
    'basic.rethinkdns.com',
    'doh.libredns.gr',
    'dot.libredns.gr',
    'dns.njal.la',
    'dnsforge.de',
    'dns.digitale-gesellschaft.ch',
    'doh.applied-privacy.net',
    'doh.ffmuc.net',
    'dot.ffmuc.net',
    'dns.comss.one',
    'dns.decloudus.com',
  ]),
];

/** The table over `CIRCUMVENTION`; a value is the place in it. */
export function compileCircumvention(seed: Seed): SuffixTable {
  return createSuffixTable(
    seed,
    CIRCUMVENTION.map(({ name }, value) => ({ name, value })),
  );
}

function named(kind: CircumventionKind, names: readonly string[]): CircumventionName[] {
  return names.map((name) => ({ name, kind }));
}
