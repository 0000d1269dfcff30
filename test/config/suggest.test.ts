import { describe, expect, it } from 'vitest';
import { adviseKnown, suggest } from '../../src/config/suggest.ts';

describe('suggest', () => {
  const known = ['gambling', 'games', 'games-educational', 'social-media', 'mon', 'tue'];
  it.each([
    ['gamse', 'games'],
    ['Gambling', 'gambling'],
    ['social_media', 'social-media'],
    ['socialmedia', 'social-media'],
    ['monday', 'mon'],
    ['weapons', null],
    ['', null],
    ['x'.repeat(5000), null],
  ])('%s', (word, expected) => {
    expect(suggest(word, known)).toBe(expected);
  });

  it('names what there is when nothing is near', () => {
    expect(adviseKnown('weapons', ['games', 'music'], 'category')).toBe('write one of: games, music');
    expect(adviseKnown('weapons', [], 'category')).toContain('no category');
  });
});
