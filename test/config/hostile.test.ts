import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { readYamlTree } from '../../src/config/yaml-tree.ts';
import { gatewaySchema } from '../../src/config/schema/gateway.ts';
import { policySchema } from '../../src/config/schema/policy.ts';
import { GATEWAY, load, POLICY, writeFiles } from './support.ts';
import type { LoadedConfig } from '../../src/config/types.ts';

/** Whatever the files hold: an answer, and errors that have a place and words. */
function expectSound(loaded: LoadedConfig): void {
  if (loaded.ok) return;
  expect(loaded.errors.length).toBeGreaterThan(0);
  for (const { line, column, problem, advice } of loaded.errors) {
    expect(line).toBeGreaterThanOrEqual(1);
    expect(column).toBeGreaterThanOrEqual(1);
    expect(problem).not.toBe('');
    expect(advice).not.toBe('');
    expect(`${problem}${advice}`).not.toContain('undefined');
  }
}

const keys = [...Object.keys(gatewaySchema.shape), ...Object.keys(policySchema.shape)];
const words = [
  ...keys,
  'name',
  'category',
  'source',
  'ratings',
  'extends',
  'timed',
  'match',
  'group',
  'days',
  'from',
  'to',
  'a',
  '__proto__',
  'constructor',
  'toString',
];
const { tree } = fc.letrec<{ tree: unknown; leaf: unknown }>((tie) => ({
  leaf: fc.oneof(
    fc.constantFrom('a', 'games', 'pupils', '10.0.0.0/8', 'mon', 'auto', 'any', 'system', '12:00'),
    fc.string({ maxLength: 8 }),
    fc.double(),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
  ),
  tree: fc.oneof(
    { maxDepth: 5 },
    tie('leaf'),
    fc.array(tie('tree'), { maxLength: 4 }),
    fc.dictionary(fc.oneof(fc.constantFrom(...words), fc.string({ maxLength: 6 })), tie('tree'), {
      maxKeys: 6,
    }),
  ),
}));
const document = fc.dictionary(fc.constantFrom(...keys), tree, { maxKeys: 8 });

describe('hostile files', () => {
  it('random bytes never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 300 }), (gateway, policy) => {
        expectSound(load(gateway, policy));
      }),
      { numRuns: 150 },
    );
  });

  it('random text made of YAML’s own signs never throws', () => {
    const sign = fc.constantFrom(
      ...'{}[]:,-?&*!|>\'"%@#~ \n\t\r\\ab1'.split(''),
      '\n  ',
      ': ',
      '- ',
      '<<: *a',
      '---\n',
      '...\n',
      '\u2028',
      '\ufeff',
    );
    fc.assert(
      fc.property(fc.array(sign, { maxLength: 80 }), (signs) => {
        expectSound(load(signs.join(''), POLICY));
        expectSound(load(GATEWAY, signs.join('')));
      }),
      { numRuns: 150 },
    );
  });

  it('random trees of known keys never throw', () => {
    fc.assert(
      fc.property(document, document, (gateway, policy) => {
        expectSound(
          load(
            stringify(gateway, { aliasDuplicateObjects: false }),
            stringify(policy, { aliasDuplicateObjects: false }),
          ),
        );
      }),
      { numRuns: 150 },
    );
  });

  it('good files with one character changed never throw', () => {
    fc.assert(
      fc.property(
        fc.nat(GATEWAY.length - 1),
        fc.nat(POLICY.length - 1),
        fc.string({ maxLength: 2 }),
        (i, j, text) => {
          expectSound(
            load(
              GATEWAY.slice(0, i) + text + GATEWAY.slice(i + 1),
              POLICY.slice(0, j) + text + POLICY.slice(j + 1),
            ),
          );
        },
      ),
      { numRuns: 150 },
    );
  });

  it('the plain data is what the YAML says, when it says only plain things', () => {
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.constantFrom('a', 'b', 'c'),
          fc.array(fc.oneof(fc.integer(), fc.boolean(), fc.string())),
          { minKeys: 1 },
        ),
        (data) => {
          const read = readYamlTree(stringify(data, { aliasDuplicateObjects: false }));
          expect(read.problems).toEqual([]);
          expect(JSON.parse(JSON.stringify(read.data))).toEqual(JSON.parse(JSON.stringify(data)));
        },
      ),
      { numRuns: 200 },
    );
  });

  it.each(['[', '{', '- ', '? ', '"', ','])('30 KB of %j ends in time with one error', (sign) => {
    const text = sign.repeat(Math.floor(30_000 / sign.length));
    expect(readYamlTree(text).problems).toHaveLength(1);
  });

  it('a path with odd characters is told as it is', () => {
    const dir = writeFiles({});
    expectSound(loadConfig(join(dir, 'no\nfile\u0000.yaml')));
    expectSound(loadConfig(''));
    expectSound(loadConfig('/dev/null'));
    expectSound(loadConfig(join(dir, 'games.txt', 'x')));
  });
});
