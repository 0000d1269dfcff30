// Reading plain data of unknown shape without ever failing: what has the wrong kind counts as absent.
// Mistakes are reported by the schema; here the sound parts go on, so that one slip hides no other.

import type { Parsed } from './values.ts';

export type Raw = Readonly<Record<string, unknown>>;

/** The keys of a mapping; none when it is something else. */
export function mapping(value: unknown): Raw {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Raw) : {};
}

/** The entries of a list; none when it is something else. */
export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A text's meaning, or the fallback when it is absent or wrong. */
export function meaning<T, F>(value: unknown, parse: (text: string) => Parsed<T>, fallback: F): T | F {
  if (typeof value !== 'string') return fallback;
  const parsed = parse(value);
  return parsed.ok ? parsed.value : fallback;
}

/** The entries of a list that have a meaning; the fallback when there is no list. */
export function meanings<T>(
  value: unknown,
  parse: (text: string) => Parsed<T>,
  fallback: readonly string[] = [],
): T[] {
  return placedMeanings(value, parse, fallback).map((entry) => entry.value);
}

/** The entries of a list that have a meaning, each with its place; the fallback when there is no list. */
export function placedMeanings<T>(
  value: unknown,
  parse: (text: string) => Parsed<T>,
  fallback: readonly string[],
): { value: T; index: number }[] {
  return (Array.isArray(value) ? list(value) : fallback).flatMap((entry, index) => {
    const parsed = typeof entry === 'string' ? parse(entry) : null;
    return parsed?.ok ? [{ value: parsed.value, index }] : [];
  });
}

/** One of a few words, or the fallback. */
export function word<W extends string, F>(value: unknown, words: readonly W[], fallback: F): W | F {
  return words.find((known) => known === value) ?? fallback;
}

/** A whole number, or the fallback. */
export function whole(value: unknown, fallback: number): number {
  return typeof value === 'number' && Number.isInteger(value) ? value : fallback;
}
