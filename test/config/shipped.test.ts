import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'tldts';
import { domainToASCII } from 'node:url';
import { describe, expect, it } from 'vitest';
import { canonicalName } from '../../src/blocklist/names.ts';
import { renderReference, renderSchema } from '../../src/config/reference.ts';
import { loadConfig } from '../../src/config/load.ts';
import { formatAddress, parseNetwork } from '../../src/policy/networks.ts';
import { isPrivateAddress } from '../../src/policy/private-address.ts';
import { followExtends } from '../../src/policy/groups.ts';
import { messages } from './support.ts';

const ROOT = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

const loaded = loadConfig(join(ROOT, 'config/gateway.yaml'), { cores: 4 });
if (!loaded.ok) throw new Error(messages(loaded).join('\n'));
const { config, policy } = loaded;

const files = readdirSync(join(ROOT, 'blocklists')).filter((name) => name.endsWith('.txt'));
/** lists of addresses, which have rules of their own */
const ADDRESS_FILES = ['dns-bypass-addresses.txt'];
const nameFiles = files.filter((file) => !ADDRESS_FILES.includes(file));
const namesOf = (file: string): string[] =>
  read(`blocklists/${file}`)
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));

describe('the shipped files', () => {
  it('load without an error or a warning', () => {
    expect(messages(loaded)).toEqual([]);
  });

  it('name every starter list, and each is there', () => {
    expect(config.lists.map((list) => list.source).sort()).toEqual(
      files.map((file) => join(ROOT, 'blocklists', file)).sort(),
    );
  });

  it('are what a fresh gateway has by default', () => {
    expect(config).toMatchObject({
      listen: {
        dns: [{ address: '127.0.0.1', port: 1053 }],
        proxy: [{ address: '127.0.0.1', port: 3128 }],
        web: [{ address: '127.0.0.1', port: 8080 }],
      },
      dns: { upstreams: ['system'], block: 'nxdomain' },
    });
  });

  it('F18 F04 rate every shipped category for each group, in the policies’ own words', () => {
    const groups = new Map(Object.entries(policy.groups));
    for (const name of groups.keys()) {
      const rated = new Set(
        followExtends(groups, name).flatMap((group) => Object.keys(groups.get(group)!.ratings)),
      );
      for (const { category } of config.lists) expect(rated, `${name} ${category}`).toContain(category);
    }
  });

  it('F01 F19 hold unknown devices to the strictest group', () => {
    expect(policy.unknown).toBe('unregistered');
    const { unregistered, pupils } = policy.groups;
    expect(unregistered).toMatchObject({ default: 'block', extends: 'pupils', ratings: {}, allow: [] });
    expect(Object.values(pupils!.ratings).every(({ kind }) => kind === 'unacceptable')).toBe(true);
    expect(pupils).toMatchObject({
      default: 'block',
      fail: 'closed',
      directIp: 'block',
      bypass: 'block',
      allow: [],
    });
  });

  it('F07 tell the groups apart by address, so that the tour works on one machine', () => {
    expect(policy.clients.map(({ match, group }) => [match[0], group])).toEqual([
      ['127.0.0.2', 'ks1'],
      ['127.0.0.3', 'ks2'],
      ['127.0.0.4', 'staff'],
      ['127.0.0.5', 'guests'],
    ]);
    expect(policy.clients[0]!.class).toBe('hedgehogs');
    expect(policy.groups['ks1']).toMatchObject({ default: 'block', identity: 'class' });
    expect(policy.groups['ks2']).toMatchObject({ default: 'allow' });
  });
});

describe('the starter lists', () => {
  // these are short on purpose, as their headers and the README say
  const SHORT = ['self-harm.txt', 'violence-gore.txt'];

  it('F03 are at least 20 categories of 20 to 60 names', () => {
    const full = files.filter((file) => !SHORT.includes(file));
    expect(full.length).toBeGreaterThanOrEqual(20);
    for (const file of full) {
      expect(namesOf(file).length, file).toBeGreaterThanOrEqual(20);
      expect(namesOf(file).length, file).toBeLessThanOrEqual(60);
    }
  });

  it.each(ADDRESS_FILES)(
    'F12 %s holds addresses of the internet as the gateway writes them, once each',
    (file) => {
      const texts = namesOf(file);
      expect(new Set(texts).size).toBe(texts.length);
      for (const text of texts) {
        const network = parseNetwork(text);
        expect(network, text).toMatchObject({ hadHostBits: false });
        const { address, prefix } = network!;
        expect(text.replace(/\/.*/, '')).toBe(formatAddress(address));
        expect(prefix, text).toBeGreaterThanOrEqual(address.family === 4 ? 24 : 48);
        expect(isPrivateAddress(formatAddress(address)), text).toBe(false);
      }
      expect(read(`blocklists/${file}`)).toContain('Use real lists in production');
      expect(config.lists.find(({ source }) => source.endsWith(file))).toMatchObject({
        format: 'ips',
        category: 'dns-bypass',
      });
    },
  );

  it.each(nameFiles)('%s holds canonical names, sorted, once each, none of them a public suffix', (file) => {
    const names = namesOf(file);
    expect(names).toEqual([...new Set(names)].sort());
    for (const name of names) {
      expect(canonicalName(name, domainToASCII), name).toBe(name);
      const { domain, isIcann } = parse(name, { allowPrivateDomains: true });
      expect(isIcann, name).toBe(true);
      expect(domain, name).not.toBeNull();
    }
    expect(read(`blocklists/${file}`)).toContain('Use real lists in production');
  });

  it('hold no name that would take half the web with it', () => {
    const broad = [
      'google.com',
      'amazonaws.com',
      'microsoft.com',
      'apple.com',
      'icloud.com',
      'live.com',
      'yahoo.com',
      'cloudfront.net',
      'akamai.net',
      'gstatic.com',
      'bbc.co.uk',
      'gov.uk',
      'wikipedia.org',
    ];
    const all = new Set(files.flatMap(namesOf));
    expect(broad.filter((name) => all.has(name))).toEqual([]);
  });

  it('F02 hold nothing illegal, and the README says so', () => {
    expect(config.lists.filter((list) => list.sealed || list.category === 'illegal')).toEqual([]);
    expect(read('blocklists/README.md')).toContain('There is no list of illegal content');
  });

  it('are counted right in the README', () => {
    const rows = [...read('blocklists/README.md').matchAll(/^\| `([^`]+\.txt)` *\|.*\| +(\d+) +\|$/gm)];
    expect(Object.fromEntries(rows.map(([, file, count]) => [file, Number(count)]))).toEqual(
      Object.fromEntries(files.map((file) => [file, namesOf(file).length])),
    );
  });
});

describe('what is made from the schemas is up to date (npm run docs)', () => {
  it('docs/reference.md', () => {
    expect(read('docs/reference.md')).toBe(renderReference());
  });
  it.each(['gateway', 'policy'] as const)('config/%s.schema.json', (which) => {
    expect(read(`config/${which}.schema.json`)).toBe(renderSchema(which));
  });

  it('describes every key', () => {
    const undescribed = (node: unknown, path: string): string[] => {
      if (typeof node !== 'object' || node === null) return [];
      const { properties } = node as { properties?: Record<string, { description?: string }> };
      const own = Object.entries(properties ?? {}).filter(([, value]) => !value.description);
      return [
        ...own.map(([key]) => `${path}.${key}`),
        ...Object.entries(node).flatMap(([key, value]) => undescribed(value, `${path}/${key}`)),
      ];
    };
    for (const which of ['gateway', 'policy'] as const) {
      expect(undescribed(JSON.parse(renderSchema(which)), which)).toEqual([]);
    }
  });
});
