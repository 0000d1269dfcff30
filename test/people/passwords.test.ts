import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPasswords, passwordProblem } from '../../src/people/passwords.ts';

describe('P02: a password has at least 8 characters and three of the four kinds', () => {
  it.each(['Blue-Kettle', 'blue-kettle-42', 'BlueKettle42', 'BLUE-KETTLE-42', 'Éclair-über', '🦊Fox-fox-1'])(
    '%s will do',
    (text) => {
      expect(passwordProblem(text, 'tess')).toBeNull();
    },
  );

  it.each([
    ['', /at least 8/],
    ['Ab1-xyz', /at least 8/],
    ['🦊🦊🦊🦊', /at least 8/],
    ['bluekettle', /three of these/],
    ['bluekettle42', /three of these/],
    ['BLUEKETTLE42', /three of these/],
    ['12345678-90', /three of these/],
    [`Aa1${'x'.repeat(254)}`, /at most 256/],
  ])('%j will not', (text, why) => {
    expect(passwordProblem(text, 'tess')).toMatch(why);
  });

  it('agrees with a count of kinds for every text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme-ascii', minLength: 8, maxLength: 30 }), (text) => {
        const kinds =
          Number(/[A-Z]/.test(text)) +
          Number(/[a-z]/.test(text)) +
          Number(/[0-9]/.test(text)) +
          Number(/[^A-Za-z0-9]/.test(text));
        const problem = passwordProblem(text, 'no one');
        expect(problem !== null && problem.includes('three of these')).toBe(kinds < 3);
      }),
    );
  });
});

describe('trivial passwords', () => {
  it.each([
    'Password1',
    'Password123!',
    'P@ssw0rd',
    'P@$$w0rd99',
    'Welcome2026',
    'Qwerty123!',
    '1Letmein!',
    'School-2026',
    'Summer2026!',
    'Abc12345',
    'Admin123!',
    'Tess.green1',
    'tess.GREEN!!',
    'Aa1Aa1Aa1',
  ])('%s is refused', (text) => {
    expect(passwordProblem(text, 'tess.green')).toMatch(/too easy/);
  });
});

describe('hashing', () => {
  const passwords = createPasswords();

  it('salts, verifies, and is false for a hash it cannot read', async () => {
    const [one, two] = await Promise.all([
      passwords.hash('Blue-Kettle-42'),
      passwords.hash('Blue-Kettle-42'),
    ]);
    expect(one).not.toBe(two);
    expect(await passwords.verify(one, 'Blue-Kettle-42')).toBe(true);
    expect(await passwords.verify(one, 'blue-Kettle-42')).toBe(false);
    expect(await passwords.verify('nonsense', 'Blue-Kettle-42')).toBe(false);
    expect(await passwords.verifyNobody('Blue-Kettle-42')).toBe(false);
  });

  it('leaves the event loop free while it works', async () => {
    let turns = 0;
    const timer = setInterval(() => (turns += 1), 1);
    await Promise.all(Array.from({ length: 6 }, () => passwords.hash('Blue-Kettle-42')));
    clearInterval(timer);
    expect(turns).toBeGreaterThan(3);
  });
});
