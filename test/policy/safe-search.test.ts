import { describe, expect, it } from 'vitest';
import { decideChain } from '../../src/policy/chain.ts';
import { SEARCH_ENGINES } from '../../src/policy/search-engines.ts';
import type { SafeLevel } from '../../src/policy/types.ts';
import { ask, one } from './ask.ts';
import { buildIndex, client, engineWith, group, NOW, override, policy } from './fixture.ts';

const open = one({});
const held = (safeSearch: SafeLevel, video: SafeLevel = safeSearch) => one({ safeSearch, video });
const rewrites = SEARCH_ENGINES.filter(({ strict }) => strict !== null);
const unsafe = SEARCH_ENGINES.filter(({ strict }) => strict === null);
const index = buildIndex({
  sealed: { category: 'illegal', names: ['www.google.de', 'search.yahoo.com'], sealed: true },
  engines: { category: 'search', names: ['google.com', 'bing.com', 'yahoo.com', 'kagi.com'] },
  video: { category: 'video', names: ['youtube.com'] },
});

describe('F10 engines with a safe form', () => {
  it.each(
    rewrites.flatMap(({ names, strict, moderate, kind }) =>
      names.map((n) => [n, strict, moderate, kind] as const),
    ),
  )('%s is answered as %s', (name, strict, moderate, kind) => {
    for (const host of [name, name.toUpperCase(), `${name}.`])
      expect(ask(open, host)).toMatchObject({ action: 'rewrite', reason: 'safe-search', target: strict });
    expect(ask(held('moderate'), name)).toMatchObject({ action: 'rewrite', target: moderate });
    expect(ask(held('off'), name)).toMatchObject({ action: 'allow', target: null });
    const other = kind === 'video' ? held('off', 'strict') : held('strict', 'off');
    expect(ask(other, name).target).toBe(strict);
    const without = kind === 'video' ? held('strict', 'off') : held('off', 'strict');
    expect(ask(without, name)).toMatchObject({ action: 'allow', target: null });
  });

  it('has every country of Google, and other names of YouTube', () => {
    const google = rewrites.find(({ title }) => title === 'Google')!.names;
    expect(google.filter((name) => name.startsWith('www.google.')).length).toBe(194);
    expect(new Set(google).size).toBe(google.length);
    for (const country of ['com', 'co.uk', 'ie', 'fr', 'de', 'com.au', 'co.jp', 'ws'])
      expect(google).toContain(`www.google.${country}`);
    expect(ask(open, 'm.youtube.com').target).toBe('restrict.youtube.com');
    expect(ask(held('moderate'), 'm.youtube.com').target).toBe('restrictmoderate.youtube.com');
  });

  it.each([
    'www.google.com.evil.example',
    'accounts.google.com',
    'classroom.google.com',
    'drive.google.com',
    'wwwgoogle.com',
    'www-google.com',
    'x.www.google.com',
    'www.www.google.com',
    'www.google',
    'www.google.example',
    'google.co.uk',
    'external-content.duckduckgo.com',
    'www.youtube.com.example',
    'i.ytimg.com',
    'r3.googlevideo.com',
    'mail.yahoo.com',
    'yahoo.com',
    'notkagi.com',
    'com',
  ])('%s is not', (name) => {
    expect(ask(open, name)).toMatchObject({ action: 'allow', target: null });
  });

  it.each([...new Set(rewrites.flatMap(({ strict, moderate }) => [strict!, moderate!]))])(
    'the safe form %s is left as it is, in no case blocked for want of one',
    (target) => {
      expect(ask(open, target)).toMatchObject({ action: 'allow', target: null });
    },
  );

  it('says whose it is: category, list, override and end of the allow stay to be seen', () => {
    const timed = one(
      { ratings: { video: { kind: 'timed', timetables: ['t'] }, search: { kind: 'acceptable' } } },
      { timetables: { t: [{ days: ['mon'], from: 10 * 60, to: 12 * 60 }] } },
    );
    expect(ask(timed, 'www.youtube.com', { index })).toMatchObject({
      action: 'rewrite',
      rule: 'YouTube is held to restricted video, strict (g)',
      category: 'video',
      rating: 'timed',
      list: 'video',
      until: NOW + 60 * 60_000,
    });
    const grant = override({ names: ['google.com'], scope: { groups: ['g'], classes: [], users: [] } });
    expect(ask(one({ default: 'block' }), 'www.google.com', { index, overrides: [grant] })).toMatchObject({
      action: 'rewrite',
      overrideId: 'o1',
      until: grant.until,
    });
  });

  it('neither an allow list nor an override switches it off', () => {
    const grant = override({ names: ['www.google.com'], scope: { groups: ['g'], classes: [], users: [] } });
    const allowing = one({ allow: ['www.google.com', 'www.youtube.com'], default: 'block' });
    expect(ask(allowing, 'www.google.com').target).toBe('forcesafesearch.google.com');
    expect(ask(allowing, 'www.google.com', { overrides: [grant] }).target).toBe('forcesafesearch.google.com');
    expect(ask(allowing, 'www.youtube.com').target).toBe('restrict.youtube.com');
  });

  it('opens nothing that is blocked', () => {
    expect(ask(one({ deny: ['google.com'] }), 'www.google.com')).toMatchObject({
      action: 'block',
      target: null,
    });
    expect(ask(one({ default: 'block' }), 'www.bing.com')).toMatchObject({ reason: 'default-block' });
    expect(ask(open, 'www.google.de', { index })).toMatchObject({ reason: 'illegal' });
    expect(ask(open, 'www.youtube.com', { index })).toMatchObject({ reason: 'unrated' });
    expect(ask(one({ suspended: { until: null, reason: 'r' } }), 'www.google.com').reason).toBe('suspended');
    expect(ask(one({ identity: 'class' }), 'www.google.com').action).toBe('portal');
  });

  it('the same allow gives the same verdict object, as every decision does', () => {
    const engine = engineWith(open, index);
    const who = client({ group: 'g' });
    const first = engine.decideHost('www.ecosia.org', who, NOW, 'dns');
    expect(engine.decideHost('www.ecosia.org', who, NOW + 1, 'dns')).toBe(first);
  });
});

describe('F10 F12 engines without a safe form', () => {
  it.each(unsafe.flatMap(({ names }) => names))(
    '%s and what is below it are blocked for strict groups alone',
    (name) => {
      for (const host of [name, name.toUpperCase(), `${name}.`, `uk.${name}`])
        expect(ask(open, host)).toMatchObject({
          action: 'block',
          reason: 'safe-search',
          category: 'search-unsafe',
          target: null,
        });
      expect(ask(held('moderate'), name).action).toBe('allow');
      expect(ask(held('off'), name).action).toBe('allow');
    },
  );

  it('open where an allow list names them, not where it names the company', () => {
    expect(ask(one({ allow: ['kagi.com'] }), 'kagi.com')).toMatchObject({
      action: 'allow',
      reason: 'local-allow',
    });
    expect(ask(one({ allow: ['search.yahoo.com'] }), 'uk.search.yahoo.com').reason).toBe('local-allow');
    expect(ask(one({ allow: ['uk.search.yahoo.com'] }), 'uk.search.yahoo.com').reason).toBe('local-allow');
    expect(ask(one({ allow: ['uk.search.yahoo.com'] }), 'fr.search.yahoo.com').reason).toBe('safe-search');
    expect(ask(one({ allow: ['yahoo.com'] }), 'search.yahoo.com').reason).toBe('safe-search');
    expect(ask(one({ allow: ['yahoo.com'] }), 'mail.yahoo.com').reason).toBe('local-allow');
    expect(ask(open, 'search.yahoo.com', { index }).reason).toBe('illegal');
  });

  it('open while an override names them, however long a wider one runs', () => {
    const scope = { groups: ['g'], classes: [], users: [] };
    const narrow = override({ id: 'narrow', names: ['search.yahoo.com'], scope, until: NOW + 1000 });
    const wide = override({ id: 'wide', names: ['yahoo.com'], scope, until: NOW + 9000 });
    expect(ask(open, 'search.yahoo.com', { overrides: [wide] })).toMatchObject({
      reason: 'safe-search',
      until: wide.until,
    });
    expect(ask(open, 'search.yahoo.com', { overrides: [wide, narrow] })).toMatchObject({
      action: 'allow',
      overrideId: 'narrow',
      until: narrow.until,
    });
    const later = { ...narrow, from: NOW + 500 };
    expect(ask(open, 'search.yahoo.com', { overrides: [wide, later] })).toMatchObject({
      reason: 'safe-search',
      until: later.from,
    });
    const others = { ...narrow, scope: { ...scope, groups: ['strict'] } };
    expect(ask(open, 'search.yahoo.com', { overrides: [others] }).reason).toBe('safe-search');
  });
});

describe('safe search in groups', () => {
  it('strict for every group that says nothing, `off` only where it is said; taken over by extends', () => {
    const model = policy({
      groups: {
        base: group({ default: 'allow', safeSearch: 'moderate', video: 'off' }),
        child: group({ extends: 'base' }),
        back: group({ extends: 'base', video: 'strict' }),
        plain: group({ default: 'allow' }),
        strict: group({ default: 'allow' }),
      },
    });
    const engine = engineWith(model, buildIndex({ x: { category: 'x', names: ['never.test'] } }));
    const of = (name: string, host: string): string | null =>
      engine.decideHost(host, client({ group: name }), NOW, 'dns').target;
    expect(of('child', 'm.youtube.com')).toBeNull();
    expect(of('back', 'm.youtube.com')).toBe('restrict.youtube.com');
    expect(of('plain', 'm.youtube.com')).toBe('restrict.youtube.com');
    expect(of('gone', 'm.youtube.com')).toBe('restrict.youtube.com');
    expect(engine.decideHost('startpage.com', client({ group: 'child' }), NOW, 'dns').action).toBe('allow');
    expect(engine.decideHost('startpage.com', client({ group: 'plain' }), NOW, 'dns').action).toBe('block');
  });

  it('traits: service records are stripped unless the group denies them, denied while there is no policy', () => {
    const model = policy({
      groups: {
        a: group({ httpsRecords: 'deny' }),
        b: group({ extends: 'a' }),
        c: group({ extends: 'a', httpsRecords: 'strip' }),
        strict: group({}),
      },
    });
    const engine = engineWith(model, index);
    const of = (name: string): string => engine.traits(client({ group: name })).serviceRecords;
    expect(['a', 'b', 'c', 'strict', 'gone'].map(of)).toEqual(['deny', 'deny', 'strip', 'strip', 'strip']);
  });

  it('F16 explain tells it as a step of its own, the last and the one that decides', () => {
    const engine = engineWith(one({ allow: ['kagi.com'] }), index);
    const last = (host: string) => {
      const { trace } = engine.explain(host, client({ group: 'g' }), NOW, 'http');
      expect(trace.filter(({ outcome }) => outcome === 'decided')).toHaveLength(1);
      return trace.at(-1);
    };
    expect(last('duckduckgo.com')).toEqual({
      step: 11,
      title: 'Safe search',
      outcome: 'decided',
      detail: 'DuckDuckGo is held to safe search (g): duckduckgo.com is answered as safe.duckduckgo.com.',
    });
    expect(last('www.mojeek.com')?.detail).toContain('no safe search that can be relied on');
    expect(last('kagi.com')?.detail).toContain('so it stays open');
    expect(last('plain.test')).toMatchObject({ step: 10 });
  });

  it('F12 the names that a rewrite leads through are covered, but for sealed ones', () => {
    const rewrite = ask(open, 'www.bing.com');
    const allow = ask(open, 'plain.test');
    const verdicts = {
      'strict.bing.com': ask(one({ deny: ['bing.com'] }), 'strict.bing.com'),
      'sealed.test': ask(open, 'www.google.de', { index }),
      'yahoo.test': ask(open, 'search.mojeek.com'),
      'google.test': ask(open, 'www.google.com'),
    };
    const through = (verdict: typeof allow, ...names: (keyof typeof verdicts)[]) =>
      decideChain(verdict, names, (name) => verdicts[name]);
    expect(through(rewrite, 'strict.bing.com')).toBe(rewrite);
    expect(through(rewrite, 'strict.bing.com', 'sealed.test').reason).toBe('illegal');
    expect(through(allow, 'strict.bing.com').reason).toBe('local-deny');
    expect(through(allow, 'yahoo.test').reason).toBe('safe-search');
    expect(through(rewrite, 'google.test')).toBe(rewrite);
    expect(through(allow, 'google.test')).toMatchObject({
      action: 'block',
      reason: 'safe-search',
      target: null,
    });
  });
});
