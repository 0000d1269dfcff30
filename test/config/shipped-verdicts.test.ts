// The shipped policy with the shipped lists, decided by the engine: what a fresh gateway does for each group.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { domainToASCII } from 'node:url';
import { getPublicSuffix } from 'tldts';
import { describe, expect, it } from 'vitest';
import { createIndexBuilder } from '../../src/blocklist/build-index.ts';
import { openIndex } from '../../src/blocklist/open-index.ts';
import { loadConfig } from '../../src/config/load.ts';
import { letsThrough } from '../../src/policy/chain.ts';
import { createEngine } from '../../src/policy/engine.ts';

const loaded = loadConfig(join(import.meta.dirname, '../../config/gateway.yaml'), { cores: 2 });
if (!loaded.ok) throw new Error('the shipped files have mistakes');

const seed = { lo: 1, hi: 2 };
const builder = createIndexBuilder({
  seed,
  toAscii: domainToASCII,
  isPublicSuffix: (name) => getPublicSuffix(name, { allowPrivateDomains: true }) === name,
});
const reports = loaded.config.lists.map((list) =>
  builder.addList(
    list,
    list.files.flatMap((file) => readFileSync(file, 'utf8').split('\n')),
  ),
);
const engine = createEngine({ seed });
engine.setIndex(openIndex(builder.finish('shipped').buffer), 1);
engine.setPolicy(loaded.policy, 1);
engine.setOverrides([], 1);

const ADDRESS = {
  ks1: '127.0.0.2',
  ks2: '127.0.0.3',
  staff: '127.0.0.4',
  guests: '127.0.0.5',
  nobody: '127.0.0.1',
};
const WEDNESDAY_10 = Date.UTC(2026, 0, 14, 10);
const WEDNESDAY_1230 = Date.UTC(2026, 0, 14, 12, 30);
const FRIDAY_1430_SUMMER = Date.UTC(2026, 5, 12, 13, 30);

const allowed = (host: string, at: number): string[] =>
  Object.entries(ADDRESS)
    .filter(([, address]) => letsThrough(engine.decideHost(host, engine.client(address), at, 'dns')))
    .map(([group]) => group);

describe('a fresh gateway', () => {
  it('takes every name of the starter lists', () => {
    expect(reports.flatMap(({ skipped, reasons }) => (skipped > 0 ? [reasons] : []))).toEqual([]);
  });

  it.each<[string, number, string[]]>([
    ['1.1.1.1', WEDNESDAY_10, []],
    ['2620:fe::fe', WEDNESDAY_10, []],
    ['192.0.2.1', WEDNESDAY_10, ['staff']],
    ['www.pornhub.com', WEDNESDAY_10, []],
    ['bet365.com', WEDNESDAY_10, []],
    ['nordvpn.com', WEDNESDAY_10, []],
    ['dns.google', WEDNESDAY_10, []],
    ['www.bbc.co.uk', WEDNESDAY_10, ['ks1', 'ks2', 'staff', 'guests']],
    ['www.childline.org.uk', WEDNESDAY_10, ['ks1', 'ks2', 'staff', 'guests', 'nobody']],
    ['example.org', WEDNESDAY_10, ['ks2', 'staff', 'guests']],
    ['theguardian.com', WEDNESDAY_10, ['staff', 'guests']],
    ['www.youtube.com', WEDNESDAY_10, ['staff']],
    ['www.facebook.com', WEDNESDAY_10, []],
    ['www.facebook.com', WEDNESDAY_1230, ['staff']],
    ['mail.google.com', WEDNESDAY_10, []],
    ['www.google.com', WEDNESDAY_10, ['ks2', 'staff', 'guests']],
    ['topmarks.co.uk', WEDNESDAY_10, ['staff']],
    ['topmarks.co.uk', WEDNESDAY_1230, ['ks2', 'staff']],
    ['topmarks.co.uk', FRIDAY_1430_SUMMER, ['ks1', 'ks2', 'staff']],
    ['ttrockstars.com', WEDNESDAY_10, ['ks2', 'staff']],
    ['phonicsplay.co.uk', WEDNESDAY_10, ['ks1', 'staff']],
  ])('F07 F18 %s at %d is open to %j alone', (host, at, groups) => {
    expect(allowed(host, at)).toEqual(groups);
  });

  it('F05 F06 says by which rating', () => {
    const reason = (host: string, address: string): string =>
      engine.decideHost(host, engine.client(address), WEDNESDAY_10, 'dns').reason;
    expect(reason('youtube.com', ADDRESS.ks2)).toBe('permission');
    expect(reason('topmarks.co.uk', ADDRESS.ks2)).toBe('timed');
    expect(reason('dropbox.com', ADDRESS.staff)).toBe('nominated');
    expect(reason('roblox.com', ADDRESS.ks2)).toBe('unacceptable');
    expect(reason('example.org', ADDRESS.nobody)).toBe('default-block');
  });
});
