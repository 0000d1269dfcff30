// What gateway.yaml must mean beyond its shape: two keys against each other, and list files that are really there.
// It looks at the disk for list files, and for the certificate by check-tls.ts.

import { findListFiles } from './sources.ts';
import { list, mapping, placedMeanings, whole } from './raw.ts';
import { GATEWAY_DEFAULTS } from './schema/defaults.ts';
import { parseListen } from './values.ts';
import { checkTls } from './check-tls.ts';
import { checkUpstreams } from './check-upstreams.ts';
import type { Finding, GatewayConfig, KeyPath, ListConfig } from './types.ts';

/** The mistakes of meaning in gateway.yaml, and its lists with the files that hold them. */
export function checkGateway(
  data: unknown,
  config: GatewayConfig,
): { findings: Finding[]; lists: ListConfig[] } {
  const findings = [
    ...checkListen(data),
    ...checkDns(config),
    ...checkCache(mapping(mapping(mapping(data)['dns'])['cache'])),
    ...checkUpstreams(data, config),
    ...checkTls(data, config),
    ...checkLists(data, config.lists),
  ];
  const lists: ListConfig[] = [];
  config.lists.forEach((entry, index) => {
    if (entry.source === '') return; // its shape is wrong: told already
    const found = findListFiles(entry.source);
    if (!found.ok) {
      findings.push(wrong(['blocklists', index, 'source'], found.problem, found.advice));
      return;
    }
    const directory = found.value[0] !== entry.source;
    const format = directory && entry.format === 'auto' ? 'squidguard' : entry.format;
    lists.push({ ...entry, format, files: found.value });
  });
  return { findings, lists };
}

function wrong(path: KeyPath, problem: string, advice: string): Finding {
  return { path, at: 'value', level: 'error', problem, advice };
}

function doubtful(path: KeyPath, problem: string, advice: string): Finding {
  return { path, at: 'value', level: 'warning', problem, advice };
}

/** Two listeners of the same transport cannot share a port. DNS over TCP shares the space of proxy and web. */
function checkListen(data: unknown): Finding[] {
  const findings: Finding[] = [];
  const taken = new Map<string, string>();
  const written = mapping(mapping(data)['listen']);
  for (const part of ['dns', 'dot', 'doh', 'proxy', 'web'] as const) {
    for (const { value, index } of placedMeanings(written[part], parseListen, GATEWAY_DEFAULTS[part])) {
      if (value.port === 0) continue;
      const place = `${value.address} port ${value.port}`;
      const other = taken.get(place);
      if (other === undefined) taken.set(place, `listen.${part}[${index}]`);
      else
        findings.push(wrong(['listen', part, index], `${place} is taken by ${other}`, 'write another port'));
    }
  }
  return findings;
}

const isLoopback = (address: string): boolean => address === '::1' || address.startsWith('127.');

function checkDns(config: GatewayConfig): Finding[] {
  const findings: Finding[] = [];
  const { v4, v6 } = config.web.public;
  if (config.dns.block === 'page' && v4 === null && v6 === null) {
    findings.push(
      wrong(
        ['dns', 'block'],
        'page needs an address to answer with',
        'write web: { public: { v4: 10.0.0.1 } } with the address of this gateway, or block: nxdomain',
      ),
    );
  }
  const open = [...config.listen.dns, ...config.listen.dot, ...config.listen.doh].find(
    ({ address }) => !isLoopback(address),
  );
  if (open && config.dns.serve.every((network) => isLoopback(network))) {
    findings.push(
      doubtful(
        ['dns', 'serve'],
        `DNS listens on ${open.address}, but only this machine may ask`,
        'add the school’s networks, for example "10.0.0.0/8"',
      ),
    );
  }
  return findings;
}

function checkCache(cache: Readonly<Record<string, unknown>>): Finding[] {
  const least = whole(cache['min_ttl'], GATEWAY_DEFAULTS.minTtl);
  const most = whole(cache['max_ttl'], GATEWAY_DEFAULTS.maxTtl);
  if (least <= most) return [];
  return [
    wrong(
      ['dns', 'cache', cache['min_ttl'] === undefined ? 'max_ttl' : 'min_ttl'],
      `min_ttl ${least} is more than max_ttl ${most}`,
      'write a min_ttl that is not above max_ttl',
    ),
  ];
}

function checkLists(data: unknown, lists: readonly ListConfig[]): Finding[] {
  const findings: Finding[] = [];
  const written = list(mapping(data)['blocklists']);
  const names = new Map<string, number>();
  lists.forEach(({ name, category }, index) => {
    const first = names.get(name);
    if (name !== '' && first !== undefined) {
      findings.push(
        wrong(
          ['blocklists', index, 'name'],
          `the name ${name} is taken by blocklists[${first}]`,
          'write another name',
        ),
      );
    } else names.set(name, index);
    if (category === 'illegal' && mapping(written[index])['sealed'] === false) {
      findings.push(
        wrong(
          ['blocklists', index, 'sealed'],
          'a list of category illegal is always sealed',
          'write true or leave it out',
        ),
      );
    }
  });
  return findings;
}

/** The categories that the lists bring; `sealed` are those of which every list is sealed. */
export function categoriesOf(lists: readonly ListConfig[]): { open: string[]; sealed: string[] } {
  const all = new Set(lists.map((entry) => entry.category).filter((category) => category !== ''));
  const open = new Set(lists.filter((entry) => !entry.sealed).map((entry) => entry.category));
  return {
    open: [...all].filter((category) => open.has(category)).sort(),
    sealed: [...all].filter((category) => !open.has(category)).sort(),
  };
}
