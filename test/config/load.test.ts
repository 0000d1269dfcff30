import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { GATEWAY, load, messages, POLICY, writeFiles } from './support.ts';

/** One line more at the end of a good gateway.yaml: line 4. */
const withGateway = (line: string): string[] => messages(load(`${GATEWAY}${line}\n`));
/** One line more at the end of a good policy.yaml: line 4. */
const withPolicy = (line: string): string[] => messages(load(GATEWAY, `${POLICY}${line}\n`));
const withList = (list: string): string[] =>
  messages(load(`school: { name: Example Primary }\nblocklists:\n  - ${list}\n`));
const withGroups = (groups: string): string[] =>
  messages(load(GATEWAY, `groups:\n${groups}\nunknown: pupils\n`));

describe('a good configuration', () => {
  it('fills in every default', () => {
    const loaded = load();
    if (!loaded.ok) throw new Error(messages(loaded).join('\n'));
    const dir = resolve(loaded.config.file, '..');
    expect(loaded.warnings).toEqual([]);
    expect(loaded.config).toEqual({
      file: join(dir, 'gateway.yaml'),
      policyFile: join(dir, 'policy.yaml'),
      school: { name: 'Example Primary', site: 'main', timezone: 'Europe/London', language: 'en' },
      listen: {
        dns: [{ address: '127.0.0.1', port: 1053 }],
        dot: [],
        doh: [],
        proxyProtocol: { from: [], on: ['dns-tcp', 'dot', 'doh'] },
        proxy: [{ address: '127.0.0.1', port: 3128 }],
        web: [{ address: '127.0.0.1', port: 8080 }],
      },
      tls: null,
      dns: {
        upstreams: ['system'],
        bootstrap: [],
        upstreamCa: null,
        forward: {},
        local: { records: [], authoritative: [] },
        block: 'nxdomain',
        serve: ['127.0.0.0/8', '::1'],
        udp: 'auto',
        cache: { maxBytes: 32_000_000, leastTtl: 0, mostTtl: 86_400, staleMs: 86_400_000, prefetch: true },
        rateLimit: { qps: 500, exempt: [] },
        tunnel: { action: 'limit', exempt: [] },
      },
      proxy: { connectPorts: [443, 8443] },
      allowPrivate: [],
      web: { public: { host: null, v4: null, v6: null } },
      metrics: { allow: ['127.0.0.0/8', '::1'] },
      lists: [
        {
          name: 'games',
          category: 'games',
          sealed: false,
          format: 'auto',
          match: 'format',
          source: join(dir, 'games.txt'),
          files: [join(dir, 'games.txt')],
        },
      ],
      workers: { dns: 1, proxy: 3 },
      audit: {
        retention: { blockedMs: 365 * 86_400_000, allowedMs: 30 * 86_400_000 },
        maxBytes: 4e9,
        sync: 'full',
      },
    });
    expect(loaded.policy).toEqual({
      timezone: 'Europe/London',
      timetables: {},
      groups: {
        pupils: {
          label: 'pupils',
          default: 'block',
          ratings: { games: { kind: 'unacceptable' } },
          allow: [],
          deny: [],
        },
      },
      clients: [],
      unknown: 'pupils',
      allow: [],
      deny: [],
    });
  });

  it('carries out every key', () => {
    const dir = writeFiles({
      'gateway.yaml': `school: { name: Example Primary, site: north, timezone: Europe/Paris, language: en }
listen: { dns: ["[::1]:0"], proxy: ["0.0.0.0:3128"], web: ["127.0.0.1:0", "[::1]:0"] }
dns:
  upstreams: ["9.9.9.9:5353", system]
  forward: { Inside.Example.: ["10.0.0.2"] }
  block: null
  serve: ["10.0.0.0/8"]
  rate_limit: { qps: 50, exempt: ["10.0.0.2"] }
proxy: { connect_ports: any }
allow_private: [Inside.example, "10.0.5.0/24"]
web: { public: { host: Gateway.example.sch.uk, v4: 10.0.0.1, v6: "fd00::1" } }
metrics: { allow: ["10.0.0.9"] }
blocklists:
  - { name: ut1, category: games, source: ut1/games }
  - { name: plain, category: games, source: "./games.txt", format: domains, match: exact, sealed: true }
  - { name: terror, category: illegal, source: games.txt }
workers: { dns: 2, proxy: 5 }
audit: { retention: { blocked: 7d, allowed: 12h }, max_size: 500MB, sync: normal }
policy: other/rules.yaml
`,
      'ut1/games/domains.gz': new Uint8Array([31, 139]),
      'other/rules.yaml': `timetables:
  lunch: [{ days: [mon, tue], from: 12:00, to: "13:30" }, { days: fri, from: "22:00", to: "02:00" }]
groups:
  parent: { ratings: { games: { timed: [lunch] } } }
  ks1:
    label: Key Stage 1
    extends: parent
    identity: class
    default: allow
    ratings: { games: { nominated: [head] } }
    allow: [BBC.co.uk, bücher.example]
    deny: [news.bbc.co.uk.]
    fail: last-good
    direct_ip: allow
    bypass: allow
    suspended: { until: 2026-07-21T16:00+01:00, reason: test }
clients:
  - { name: tablets, match: ["10.2.0.0/24", "2001:DB8::/48"], group: ks1, class: hedgehogs, suspended: { reason: misuse } }
unknown: parent
allow: [childline.org.uk]
deny: [bad.example]
`,
    });
    const loaded = loadConfig(join(dir, 'gateway.yaml'), { cores: 4 });
    if (!loaded.ok) throw new Error(messages(loaded).join('\n'));
    expect(messages(loaded)).toEqual([]);
    expect(loaded.config).toMatchObject({
      policyFile: join(dir, 'other/rules.yaml'),
      school: { name: 'Example Primary', site: 'north', timezone: 'Europe/Paris', language: 'en' },
      listen: {
        dns: [{ address: '::1', port: 0 }],
        proxy: [{ address: '0.0.0.0', port: 3128 }],
        web: [
          { address: '127.0.0.1', port: 0 },
          { address: '::1', port: 0 },
        ],
      },
      dns: {
        upstreams: [{ address: '9.9.9.9', port: 5353 }, 'system'],
        forward: { 'inside.example': [{ address: '10.0.0.2', port: 53 }] },
        block: 'null',
        serve: ['10.0.0.0/8'],
        rateLimit: { qps: 50, exempt: ['10.0.0.2'] },
      },
      proxy: { connectPorts: 'any' },
      allowPrivate: ['inside.example', '10.0.5.0/24'],
      web: { public: { host: 'gateway.example.sch.uk', v4: '10.0.0.1', v6: 'fd00::1' } },
      metrics: { allow: ['10.0.0.9'] },
      lists: [
        { name: 'ut1', sealed: false, format: 'squidguard', files: [join(dir, 'ut1/games/domains.gz')] },
        { name: 'plain', sealed: true, format: 'domains', match: 'exact', files: [join(dir, 'games.txt')] },
        { name: 'terror', sealed: true, category: 'illegal' },
      ],
      workers: { dns: 2, proxy: 5 },
      audit: {
        retention: { blockedMs: 7 * 86_400_000, allowedMs: 12 * 3_600_000 },
        maxBytes: 5e8,
        sync: 'normal',
      },
    });
    expect(loaded.policy).toEqual({
      timezone: 'Europe/Paris',
      timetables: {
        lunch: [
          { days: ['mon', 'tue'], from: 720, to: 810 },
          { days: ['fri'], from: 1320, to: 120 },
        ],
      },
      groups: {
        parent: {
          label: 'parent',
          ratings: { games: { kind: 'timed', timetables: ['lunch'] } },
          allow: [],
          deny: [],
        },
        ks1: {
          label: 'Key Stage 1',
          extends: 'parent',
          identity: 'class',
          default: 'allow',
          ratings: { games: { kind: 'nominated', users: ['head'] } },
          allow: ['bbc.co.uk', 'xn--bcher-kva.example'],
          deny: ['news.bbc.co.uk'],
          fail: 'last-good',
          directIp: 'allow',
          bypass: 'allow',
          suspended: { until: Date.UTC(2026, 6, 21, 15), reason: 'test' },
        },
      },
      clients: [
        {
          name: 'tablets',
          match: ['10.2.0.0/24', '2001:db8::/48'],
          group: 'ks1',
          class: 'hedgehogs',
          suspended: { until: null, reason: 'misuse' },
        },
      ],
      unknown: 'parent',
      allow: ['childline.org.uk'],
      deny: ['bad.example'],
    });
  });
});

describe('mistakes in gateway.yaml, each with its place', () => {
  it.each([
    ['dsn: {}', '4:1 dsn: there is no such key, did you mean dns?'],
    ['dns: { blok: page }', '4:8 dns.blok: there is no such key, did you mean block?'],
    [
      'dns: { block: nxdoman }',
      '4:15 dns.block: "nxdoman" is not a value it can have, did you mean nxdomain?',
    ],
    ['dns: { block: page }', '4:15 dns.block: page needs an address to answer with, write web:'],
    ['dns: { block: }', '4:8 dns.block: has no value, write one or remove the key'],
    ['dns: { block: ~ }', '4:8 dns.block: has no value'],
    ['dns: [a]', '4:6 dns: is a list, not a set of keys, write { upstreams: [system] }'],
    [
      'dns: { upstreams: ["tls://dns.example"] }',
      '4:20 dns.upstreams[0]: nobody can be asked where dns.example is',
    ],
    [
      'dns: { upstreams: ["https://d.example"] }',
      '4:20 dns.upstreams[0]: upstream "https://d.example": write the path too',
    ],
    [
      'dns: { upstreams: [dns.example] }',
      '4:20 dns.upstreams[0]: "dns.example" is not a DNS server, write IP',
    ],
    ['dns: { upstreams: [system, "127.0.0.1:1053"] }', '4:28 dns.upstreams[1]: this is the gateway itself'],
    ['dns: { upstreams: [] }', '4:19 dns.upstreams: is empty, write a list such as [system]'],
    ['dns: { upstreams: system }', '4:19 dns.upstreams: is the text "system", not a list'],
    ['dns: { forward: { "a b": ["10.0.0.2"] } }', '4:19 dns.forward.a b: "a b" is not a host name'],
    ['dns: { forward: { a.example: [system] } }', '4:31 dns.forward.a.example[0]: system cannot stand here'],
    [
      'dns: { forward: { a.example: ["127.0.0.1:1053"] } }',
      '4:31 dns.forward.a.example[0]: this is the gateway',
    ],
    [
      'dns: { serve: ["10.0.0.7/24"] }',
      '4:16 dns.serve[0]: "10.0.0.7/24" begins inside its network, write 10.0.0.0/24',
    ],
    ['dns: { rate_limit: { qps: 0 } }', '4:27 dns.rate_limit.qps: 0 is too small, write a whole number'],
    ['dns: { rate_limit: { qps: 1.5 } }', '4:27 dns.rate_limit.qps: is 1.5, not a whole number'],
    [
      'dns: { rate_limit: { exempt: [x] } }',
      '4:31 dns.rate_limit.exempt[0]: "x" is not an address or network',
    ],
    ['listen: { dns: [":53"] }', '4:17 listen.dns[0]: "" is not an IP address, write address:port'],
    ['listen: { dns: [] }', '4:16 listen.dns: is empty, write a list of addresses with ports'],
    [
      'listen: { proxy: ["127.0.0.1:8080"] }',
      '4:1 listen.web[0]: 127.0.0.1 port 8080 is taken by listen.proxy[0]',
    ],
    [
      'proxy: { connect_ports: [70000] }',
      '4:26 proxy.connect_ports[0]: 70000 is too large, write a list of ports',
    ],
    ['proxy: { connect_ports: all }', '4:25 proxy.connect_ports: "all" is not a value it can have'],
    [
      'allow_private: [http://a.example/]',
      '4:17 allow_private[0]: "http://a.example/" is not a host name, write a.example',
    ],
    ['web: { public: { v4: "::1" } }', '4:22 web.public.v4: "::1" is not an IPv4 address'],
    ['web: { public: { v6: 10.0.0.1 } }', '4:22 web.public.v6: "10.0.0.1" is not an IPv6 address'],
    ['metrics: { allow: any }', '4:19 metrics.allow: is the text "any", not a list'],
    ['workers: { dns: 1 }', '4:1 workers.proxy: is missing, write a whole number'],
    ['workers: 2', '4:10 workers: is 2, which it cannot be, write auto or'],
    ['workers: { dns: 1, proxy: 1000 }', '4:27 workers.proxy: 1000 is too large'],
    [
      'audit: { retention: { blocked: 365 } }',
      '4:32 audit.retention.blocked: is 365, not text, write a length of time',
    ],
    [
      'audit: { max_size: 4 GB }',
      '4:20 audit.max_size: "4 GB" is not a size, write a number and KB, MB, GB or TB',
    ],
    ['audit: { sync: Full }', '4:16 audit.sync: "Full" is not a value it can have, did you mean full?'],
    [
      'audit: &a { sync: full }\nmetrics: *a',
      '5:10 metrics: the alias *a is not allowed, write the value out',
    ],
    ['school: { name: B }', '4:1 school: is written twice (first on line 1), keep one of them'],
    ['policy: none.yaml', 'none.yaml:1:1 there is no file none.yaml'],
    ['? [a]\n: b', '4:3 this key is not a plain word, write key: value'],
  ])('%s', (line, expected) => {
    const told = withGateway(line);
    expect(told).toHaveLength(1);
    expect(told[0]).toContain(expected.startsWith('none') ? expected : `gateway.yaml:${expected}`);
  });

  it.each([
    ['{ name: a, category: games }', '3:5 blocklists[0].source: is missing, write source: and the path'],
    ['{ name: A b, category: games, source: games.txt }', '3:13 blocklists[0].name: "A b" cannot be a name'],
    [
      '{ name: a, category: games, source: https://a.example/l }',
      '3:41 blocklists[0].source: lists are not fetched',
    ],
    ['{ name: a, category: games, source: no.txt }', '3:41 blocklists[0].source: there is no file no.txt'],
    ['{ name: a, category: games, source: . }', 'has no file named domains, write the path of a list file'],
    [
      '{ name: a, category: games, source: games.txt, format: urls }',
      '3:60 blocklists[0].format: "urls" is not a value',
    ],
    [
      '{ name: a, category: games, source: games.txt, refresh: 24h }',
      '3:52 blocklists[0].refresh: there is no such key, lists are not fetched',
    ],
    [
      '{ name: a, category: illegal, source: games.txt, sealed: false }',
      '3:62 blocklists[0].sealed: a list of category illegal is always sealed',
    ],
    [
      '{ name: a, category: games, source: games.txt, sealed: yes }',
      '3:60 blocklists[0].sealed: is the text "yes", not true or false',
    ],
    ['games.txt', '3:5 blocklists[0]: is the text "games.txt", not a set of keys'],
    [
      '{ name: a, category: games, source: games.txt }\n  - { name: a, category: games, source: games.txt }',
      '4:13 blocklists[1].name: the name a is taken by blocklists[0]',
    ],
  ])('list %s', (list, expected) => {
    const told = withList(list);
    expect(told).toHaveLength(1);
    expect(told[0]).toContain(expected);
  });

  it('names a category directory when a whole tree is given', () => {
    const dir = writeFiles({
      'gateway.yaml': GATEWAY.replace('games.txt', 'tree'),
      'policy.yaml': POLICY,
      'tree/adult/domains': '',
    });
    expect(messages(loadConfig(join(dir, 'gateway.yaml')))[0]).toContain(
      'write one category directory for each list, for example tree/adult',
    );
  });

  it('names a list that may not be read', () => {
    const dir = writeFiles({ 'gateway.yaml': GATEWAY, 'policy.yaml': POLICY });
    chmodSync(join(dir, 'games.txt'), 0);
    for (const path of [dirname(dir), dir]) chmodSync(path, 0o755);
    for (const name of ['gateway.yaml', 'policy.yaml']) chmodSync(join(dir, name), 0o644);
    // root may read everything, so for this one question it is somebody else
    const root = process.geteuid!() === 0;
    if (root) process.seteuid!(65_534);
    try {
      expect(messages(loadConfig(join(dir, 'gateway.yaml')))[0]).toContain('no permission to read games.txt');
    } finally {
      if (root) process.seteuid!(0);
    }
  });

  it('asks for what must be there', () => {
    expect(messages(load('listen: {}\n'))).toEqual([
      'gateway.yaml:1:1 school: is missing, write school: { name: Example Primary }',
      expect.stringContaining('gateway.yaml:1:1 blocklists: is missing, write a list'),
    ]);
  });
});

describe('mistakes in policy.yaml, each with its place', () => {
  it.each([
    ['unkown: pupils', '4:1 unkown: there is no such key, did you mean unknown?'],
    [
      'timetables: { lunch: [{ days: monday, from: "12:00", to: "13:00" }] }',
      '4:31 timetables.lunch[0].days: "monday" is not a value it can have, did you mean mon?',
    ],
    [
      'timetables: { lunch: [{ days: [mon, tus], from: "12:00", to: "13:00" }] }',
      '4:37 timetables.lunch[0].days[1]: "tus" is not a value it can have, did you mean tue?',
    ],
    [
      'timetables: { lunch: [{ days: mon, from: 900, to: "13:00" }] }',
      '4:42 timetables.lunch[0].from: is 900, not text, write "HH:MM"',
    ],
    [
      'timetables: { lunch: [{ days: mon, from: "12:00", to: "25:00" }] }',
      '4:55 timetables.lunch[0].to: "25:00" is not a time of day',
    ],
    [
      'timetables: { lunch: [{ days: mon, from: "12:00" }] }',
      '4:23 timetables.lunch[0].to: is missing, write "HH:MM"',
    ],
    ['timetables: { lunch: [] }', '4:22 timetables.lunch: is empty'],
    [
      'clients: [{ name: a, match: ["10.0.0.0/24"], group: pupil }]',
      '4:53 clients[0].group: there is no group pupil, did you mean pupils?',
    ],
    ['clients: [{ name: a, match: [10.1], group: pupils }]', '4:30 clients[0].match[0]: is 10.1, not text'],
    [
      'clients: [{ name: a, match: [10.1.2], group: pupils }]',
      '4:30 clients[0].match[0]: "10.1.2" is not an address or network',
    ],
    ['clients: [{ name: a, match: [], group: pupils }]', '4:29 clients[0].match: is empty'],
    ['clients: [{ name: a, group: pupils }]', '4:11 clients[0].match: is missing'],
    [
      'clients: [{ name: a, match: [10.0.0.1], group: pupils, suspended: { until: friday, reason: x } }]',
      '4:76 clients[0].suspended.until: "friday" is not a moment in time',
    ],
    [
      'clients: [{ name: a, match: [10.0.0.1], group: pupils, suspended: {} }]',
      '4:56 clients[0].suspended.reason: is missing',
    ],
    [
      'clients: [{ name: a, match: [10.0.0.1, "::ffff:10.0.0.1"], group: pupils }]',
      '4:40 clients[0].match[1]: 10.0.0.1 is already in this client',
    ],
    [
      'clients:\n  - { name: a, match: ["10.0.0.0/8"], group: pupils }\n  - { name: b, match: ["10.0.0.0/8"], group: pupils }',
      '6:24 clients[1].match[0]: 10.0.0.0/8 is already in clients[0], keep one of them',
    ],
    [
      'allow: [https://bbc.co.uk/news]',
      '4:9 allow[0]: "https://bbc.co.uk/news" is not a host name, write bbc.co.uk',
    ],
    ['deny: ["*.bbc.co.uk"]', '4:8 deny[0]: "*.bbc.co.uk" is not a host name, write bbc.co.uk'],
  ])('%s', (line, expected) => {
    const told = withPolicy(line);
    expect(told).toHaveLength(1);
    expect(told[0]).toContain(`policy.yaml:${expected}`);
  });

  const G = '  pupils: { ratings: { games: unacceptable } }\n';
  it.each([
    [`${G}  a: { extends: pupil }`, '3:17 groups.a.extends: there is no group pupil, did you mean pupils?'],
    [`${G}  a: { extends: a }`, '3:17 groups.a.extends: goes in a circle'],
    [`${G}  A b: { extends: pupils }`, '3:3 groups.A b: "A b" cannot be a name'],
    [
      `${G}  a: { extends: pupils, lesson: strict }`,
      '3:25 groups.a.lesson: there is no such key, lesson mode is not in',
    ],
    [
      `${G}  a: { extends: pupils, default: alow }`,
      '3:34 groups.a.default: "alow" is not a value it can have, did you mean allow?',
    ],
    [
      `${G}  a: { extends: pupils, identity: clas }`,
      '3:35 groups.a.identity: "clas" is not a value it can have, did you mean class?',
    ],
    [`${G}  a: { extends: pupils, fail: open }`, '3:31 groups.a.fail: "open" is not a value it can have'],
    [`${G}  a:`, '3:3 groups.a: has no value'],
    ['  pupils: { ratings: { games: maybe } }', '2:31 groups.pupils.ratings.games: "maybe" is not a value'],
    [
      '  pupils: { ratings: { games: { timed: [lunch] } } }',
      '2:41 groups.pupils.ratings.games.timed[0]: there is no timetable lunch',
    ],
    [
      '  pupils: { ratings: { games: { timd: [lunch] } } }',
      '2:33 groups.pupils.ratings.games.timd: there is no such key, did you mean timed?',
    ],
    ['  pupils: { ratings: { games: {} } }', '2:31 groups.pupils.ratings.games: says neither when nor who'],
    [
      '  pupils: { ratings: { games: [a] } }',
      '2:31 groups.pupils.ratings.games: is a list, which it cannot be',
    ],
    [
      '  pupils: { ratings: { games: { nominated: [] } } }',
      '2:44 groups.pupils.ratings.games.nominated: is empty',
    ],
  ])('groups %s', (groups, expected) => {
    const told = withGroups(groups);
    expect(told).toHaveLength(1);
    expect(told[0]).toContain(`policy.yaml:${expected}`);
  });

  it('names both users and times as one too many', () => {
    const told = messages(
      load(
        GATEWAY,
        `timetables: { lunch: [{ days: mon, from: "12:00", to: "13:00" }] }
groups: { pupils: { ratings: { games: { timed: [lunch], nominated: [head] } } } }
unknown: pupils
`,
      ),
    );
    expect(told).toEqual([
      expect.stringContaining('2:39 groups.pupils.ratings.games: says both timed and nominated'),
    ]);
  });

  it('asks for what must be there', () => {
    expect(messages(load(GATEWAY, 'deny: []\n'))).toEqual([
      'policy.yaml:1:1 groups: is missing, write groups: and at least one group',
      'policy.yaml:1:1 unknown: is missing, write unknown: and the name of the strictest group',
    ]);
  });

  it('finds no group that is not there to be the unknown one', () => {
    expect(messages(load(GATEWAY, POLICY.replace('unknown: pupils', 'unknown: pupil')))).toEqual([
      'policy.yaml:3:10 unknown: there is no group pupil, did you mean pupils?',
    ]);
  });
});

describe('warnings', () => {
  it.each([
    [
      'a category that no list has',
      GATEWAY,
      POLICY.replace('games:', 'gmaes: unacceptable, games:'),
      '2:40 groups.pupils.ratings.gmaes: no list has the category gmaes, did you mean games?',
    ],
    [
      'a category that is not rated',
      GATEWAY,
      POLICY.replace('games: unacceptable', ''),
      '2:29 groups.pupils.ratings: games is not rated',
    ],
    [
      'a sealed category that is rated',
      GATEWAY.replace(' }\n', ' }\n').replace('games.txt', 'games.txt, sealed: true'),
      POLICY,
      'groups.pupils.ratings.games: has no effect: the lists of category games are sealed',
    ],
    [
      'a name both allowed and denied',
      GATEWAY,
      `${POLICY}allow: [a.example]\ndeny: [A.example]\n`,
      '4:9 allow[0]: a.example is in deny as well, and deny wins',
    ],
    [
      'an unknown group that is not strict',
      GATEWAY,
      POLICY.replace('block', 'allow'),
      '3:10 unknown: pupils allows names that no list knows',
    ],
    [
      'a DNS port open to nobody',
      `${GATEWAY}listen: { dns: ["0.0.0.0:53"] }\n`,
      POLICY,
      '1:1 dns.serve: DNS listens on 0.0.0.0, but only this machine may ask',
    ],
  ])('%s', (_, gateway, policy, expected) => {
    const loaded = load(gateway, policy);
    expect(loaded.ok).toBe(true);
    expect(messages(loaded)).toEqual([expect.stringContaining(expected)]);
  });
});

describe('every mistake at once', () => {
  it('of both files, in the order of the lines', () => {
    const told = messages(
      load(
        `school: { nmae: Example }
dns: { block: nxdoman, upstreams: [dns.example] }
blocklists:
  - { name: a, category: games, source: no.txt }
  - { name: a, category: games, source: games.txt, refresh: 24h }
workers: 7
`,
        `groups:
  a: { extends: b, default: alow }
  b: { extends: a, ratings: { games: { timed: [lunch] } } }
clients:
  - { name: one, match: [10.0.0.1], group: c }
unknown: d
`,
      ),
    );
    expect(told.map((line) => line.slice(0, line.indexOf(': ')))).toEqual([
      'gateway.yaml:1:1 school.name',
      'gateway.yaml:1:11 school.nmae',
      'gateway.yaml:2:15 dns.block',
      'gateway.yaml:2:36 dns.upstreams[0]',
      'gateway.yaml:4:41 blocklists[0].source',
      'gateway.yaml:5:13 blocklists[1].name',
      'gateway.yaml:5:52 blocklists[1].refresh',
      'gateway.yaml:6:10 workers',
      'policy.yaml:2:17 groups.a.extends',
      'policy.yaml:2:29 groups.a.default',
      'policy.yaml:3:17 groups.b.extends',
      'policy.yaml:3:48 groups.b.ratings.games.timed[0]',
      'policy.yaml:5:44 clients[0].group',
      'policy.yaml:6:10 unknown',
    ]);
  });

  it('of the policy too when gateway.yaml is no YAML', () => {
    const told = messages(load('school: [\n', POLICY.replace('unknown: pupils', 'unknown: x')));
    expect(told[0]).toMatch(/^gateway\.yaml:\d+:\d+ /);
    expect(told.at(-1)).toContain('policy.yaml:3:10 unknown: there is no group x');
  });
});

describe('files that are none', () => {
  it.each<[string, string | Uint8Array, string]>([
    ['empty', '', '1:1 the file is empty'],
    ['only remarks', '# nothing\n\n', '1:1 the file is empty'],
    ['binary', new Uint8Array([0, 1, 2, 255]), '1:1 the file is not a text file in UTF-8'],
    ['Latin-1', new Uint8Array([0x61, 0x3a, 0x20, 0xe9]), '1:1 the file is not a text file in UTF-8'],
    ['NUL', 'a: b\0', '1:1 the file is not a text file in UTF-8'],
    ['10 MB', 'a'.repeat(10_000_000), '1:1 the file is larger than 256 KB'],
    ['one word', 'hello', '1:1 is the text "hello", not a set of keys'],
    ['a list', '- a\n', '1:1 is a list, not a set of keys'],
    ['tab', 'school:\n\tname: x\n', '2:1 a tab is used to indent'],
    ['open bracket', 'school: { name: x\n', '2:1 the indent does not fit'],
    ['open quote', 'school: "x\n', 'something is missing here'],
    ['bad indent', 'school:\n  name: x\n site: y\n', '3:1 the indent does not fit'],
    ['two documents', 'a: 1\n---\nb: 2\n', '2:1 a second document begins here'],
    ['tag', 'school: !secret x\n', '1:9 tags (!name) are not used here'],
    ['deep', '['.repeat(20_000), 'is nested too deeply'],
    ['deep but legal', `a: ${'['.repeat(40)}${']'.repeat(40)}\n`, 'is nested too deeply'],
    [
      'alias bomb',
      `a: &a [x, x]\n${Array.from(
        { length: 40 },
        (_, i) =>
          `b${i}: &b${i} [${Array(9)
            .fill(i === 0 ? '*a' : `*b${i - 1}`)
            .join(', ')}]`,
      ).join('\n')}\n`,
      '1:1 is built of 360 aliases',
    ],
  ])('%s', (_, text, expected) => {
    for (const told of [messages(load(text, POLICY)), messages(load(GATEWAY, text))]) {
      expect(told.join('\n')).toContain(expected);
      expect(told.length).toBeLessThanOrEqual(4);
    }
  });

  it('stops counting after a hundred mistakes', () => {
    const told = messages(
      load(`${GATEWAY}${Array.from({ length: 5000 }, (_, i) => `key-${i}: 1\n`).join('')}`),
    );
    expect(told).toHaveLength(101);
    expect(told.at(-1)).toContain('4900 more mistakes follow, mend these first');
  });

  it('refuses more groups than it can follow', () => {
    const chain = Array.from({ length: 4000 }, (_, i) => `  g${i}: { extends: g${i + 1} }`).join('\n');
    expect(messages(load(GATEWAY, `groups:\n${chain}\nunknown: g0\n`))).toEqual([
      'policy.yaml:1:1 groups: has 4000 groups, write at most 200',
    ]);
  });

  it('tells of a missing file, a directory and a missing policy once each', () => {
    const dir = writeFiles({ 'gateway.yaml': GATEWAY });
    expect(messages(loadConfig(join(dir, 'nothing.yaml')))).toEqual([
      expect.stringContaining('nothing.yaml:1:1 there is no file nothing.yaml'),
    ]);
    expect(messages(loadConfig(dir))).toEqual([expect.stringContaining('is a directory')]);
    expect(messages(loadConfig(join(dir, 'gateway.yaml')))).toEqual([
      expect.stringContaining('policy.yaml:1:1 there is no file policy.yaml'),
    ]);
    mkdirSync(join(dir, 'policy.yaml'));
    expect(messages(loadConfig(join(dir, 'gateway.yaml')))).toEqual([
      expect.stringContaining('is a directory'),
    ]);
    rmSync(join(dir, 'policy.yaml'), { recursive: true });
  });
});
