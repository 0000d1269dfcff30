// Names that exist to get round a filter: relay canaries, relays and public encrypted resolvers. They are part of the
// gateway, not of a list, so that no missing list opens them. Each covers itself and all below it.

import type { Seed } from '../blocklist/types.ts';
import { createSuffixTable, type SuffixTable } from './suffix-table.ts';

/** `canary`: blocked for every group, because the block is the signal that software waits for. `relay`: by the group's `bypass`. */
type CircumventionKind = 'canary' | 'relay' | 'resolver';

export type CircumventionName = { readonly name: string; readonly kind: CircumventionKind };

export const CIRCUMVENTION: readonly CircumventionName[] = [
  ...named('canary', [
    'use-application-dns.net', // Firefox leaves its own DNS over HTTPS off
    'mask.icloud.com', // Apple's relay turns itself off and tells the user
    'mask-h2.icloud.com',
    'mask-canary.icloud.com',
  ]),
  ...named('relay', ['mask-api.icloud.com', 'mask.apple-dns.net', 'mask-t.apple-dns.net']),
  ...named('resolver', [
    'dns.google',
    '8888.google',
    'cloudflare-dns.com',
    'one.one.one.one',
    'dns.quad9.net',
    'doh.opendns.com',
    'dns.nextdns.io',
    'firefox.dns.nextdns.io',
    'dns.adguard-dns.com',
    'freedns.controld.com',
    'dns.mullvad.net',
    'doh.cleanbrowsing.org',
    'dns0.eu',
    'doh.dns.apple.com',
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
