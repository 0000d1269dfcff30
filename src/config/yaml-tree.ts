// A YAML text as plain data with the place of every key and value. It knows no schema.
// Bounded: size, depth and nodes are limited, aliases are refused, and no text makes it throw.

import { isAlias, isMap, isPair, isScalar, isSeq, LineCounter, parseDocument, type YAMLError } from 'yaml';
import type { KeyPath } from './types.ts';

type Place = { readonly line: number; readonly column: number };

type PlacedProblem = Place & {
  readonly key: string;
  readonly problem: string;
  readonly advice: string;
};

export type YamlTree = {
  /** plain data; objects have no prototype. undefined when the text could not be parsed at all */
  readonly data: unknown;
  readonly problems: readonly PlacedProblem[];
  /** where a path's key or value begins; the nearest parent that exists when it does not */
  place(path: KeyPath, at: 'key' | 'value'): Place;
};

const DEEPEST = 24;
const MOST_PROBLEMS = 50;
const MOST_ALIASES = 10;

/** `clients[2].match[0]`, as messages show a path. */
export function formatPath(path: KeyPath): string {
  return path.reduce<string>((text, step) => {
    if (typeof step === 'number') return `${text}[${step}]`;
    return text === '' ? step : `${text}.${step}`;
  }, '');
}

/** Reads a YAML text. */
export function readYamlTree(text: string): YamlTree {
  const lines = new LineCounter();
  const places = new Map<string, { key: Place; value: Place }>();
  const problems: PlacedProblem[] = [];
  let aliases = 0;
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const report = (offset: number, path: KeyPath, problem: string, advice: string): void => {
    if (problems.length < MOST_PROBLEMS) {
      problems.push({ ...placeAt(offset), key: formatPath(path), problem, advice });
    }
  };

  function plain(node: unknown, path: KeyPath, offset: number): unknown {
    if (isAlias(node)) {
      aliases++;
      report(
        offset,
        path,
        `the alias *${node.source} is not allowed`,
        'write the value out (groups can use extends)',
      );
      return null;
    }
    if (isScalar(node)) {
      if (node.value === null && node.source !== 'null') {
        report(offset, path, 'has no value', 'write one or remove the key');
      }
      return node.value;
    }
    if (path.length >= DEEPEST && (isMap(node) || isSeq(node))) {
      report(offset, path, 'is nested too deeply', 'look for a stray bracket or indent');
      return null;
    }
    if (isSeq(node)) {
      return node.items.map((item, index) => child(item, [...path, index], offset, offset));
    }
    if (isMap(node)) {
      const into = Object.create(null) as Record<string, unknown>;
      for (const pair of node.items) {
        const key: unknown = isPair(pair) ? pair.key : undefined;
        const keyOffset = startOf(key) ?? offset;
        if (!isScalar(key) || key.value === null || key.value === undefined || key.value === '__proto__') {
          report(keyOffset, path, 'this key is not a plain word', 'write key: value');
          continue;
        }
        const word = typeof key.value === 'string' ? key.value : (key.source ?? String(key.value));
        const below = [...path, word];
        if (word in into) {
          const first = places.get(JSON.stringify(below))?.key.line ?? 1;
          report(keyOffset, below, `is written twice (first on line ${first})`, 'keep one of them');
          continue;
        }
        into[word] = child(pair.value, below, keyOffset, keyOffset);
      }
      return into;
    }
    report(offset, path, 'has no value', 'write one or remove the key');
    return null;
  }

  function child(node: unknown, path: KeyPath, keyOffset: number, fallback: number): unknown {
    const start = startOf(node) ?? fallback;
    const value = isScalar(node) && node.value === null && node.source !== 'null' ? keyOffset : start;
    const isItem = typeof path.at(-1) === 'number';
    places.set(JSON.stringify(path), { key: placeAt(isItem ? start : keyOffset), value: placeAt(value) });
    return plain(node, path, value);
  }

  function place(path: KeyPath, at: 'key' | 'value'): Place {
    const exact = places.get(JSON.stringify(path));
    if (exact) return exact[at];
    for (let length = path.length - 1; length > 0; length--) {
      const parent = places.get(JSON.stringify(path.slice(0, length)));
      if (parent) return parent.key;
    }
    return { line: 1, column: 1 };
  }

  const failed = (problem: string, advice: string): YamlTree => ({
    data: undefined,
    problems: [{ line: 1, column: 1, key: '', problem, advice }],
    place,
  });

  try {
    // keys are compared above: the library's own check takes quadratic time
    const doc = parseDocument(text, {
      lineCounter: lines,
      prettyErrors: false,
      uniqueKeys: false,
      // at 'silent' the library would drop a second document without a word
      logLevel: 'error',
      stringKeys: false,
    });
    for (const error of [...doc.errors, ...doc.warnings]) {
      const { problem, advice } = inWords(error);
      report(error.pos[0], [], problem, advice);
    }
    if (problems.length > 0) return { data: undefined, problems: oncePerLine(problems), place };
    if (doc.contents === null) {
      return failed('the file is empty', 'copy the shipped file of this name and change it');
    }
    const data = plain(doc.contents, [], startOf(doc.contents) ?? 0);
    if (aliases > MOST_ALIASES) {
      return failed(
        `is built of ${aliases} aliases (*name)`,
        'write the values out (groups can use extends)',
      );
    }
    return { data, problems, place };
  } catch {
    // the parser recurses; a text made of brackets alone ends its stack
    return failed('cannot be read as YAML: it is nested too deeply', 'look for stray brackets');
  }
}

function startOf(node: unknown): number | undefined {
  if (typeof node !== 'object' || node === null || !('range' in node)) return undefined;
  const range = node.range;
  return Array.isArray(range) && typeof range[0] === 'number' ? range[0] : undefined;
}

/** One slip often makes several complaints on its line; the first is the one to mend. */
function oncePerLine(problems: readonly PlacedProblem[]): PlacedProblem[] {
  const seen = new Set<number>();
  return problems.filter(({ line }) => !seen.has(line) && seen.add(line));
}

const WORDS: Readonly<Record<string, readonly [string, string]>> = {
  TAB_AS_INDENT: ['a tab is used to indent', 'use spaces'],
  BAD_INDENT: ['the indent does not fit', 'line it up with its neighbours, or close the bracket before it'],
  BAD_ALIAS: [
    'an alias (*name) is not allowed',
    'write the value out; put text that begins with * in quotes',
  ],
  MULTIPLE_DOCS: ['a second document begins here (---)', 'keep one document in a file'],
  MISSING_CHAR: ['something is missing here', 'look for a missing quote, bracket, colon or space'],
  BLOCK_AS_IMPLICIT_KEY: ['two keys run into each other', 'write each key: value on a line of its own'],
  MULTILINE_IMPLICIT_KEY: ['a key runs over several lines', 'look for a missing colon'],
  IMPOSSIBLE: ['cannot be read as YAML', 'look for a stray character'],
  UNEXPECTED_TOKEN: ['a character is out of place', 'look for a stray bracket, comma or quote'],
  TAG_RESOLVE_FAILED: ['tags (!name) are not used here', 'write the value alone'],
  RESOURCE_EXHAUSTION: ['is nested too deeply', 'look for stray brackets'],
};

function inWords(error: YAMLError): { problem: string; advice: string } {
  const words = WORDS[error.code];
  const detail = error.message.split('\n', 1)[0]!.slice(0, 120);
  if (words) return { problem: `${words[0]} (${detail})`, advice: words[1] };
  return { problem: `cannot be read as YAML (${detail})`, advice: 'compare the line with the shipped file' };
}
