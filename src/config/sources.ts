// Where a blocklist lies: from what gateway.yaml says to the files to read. It opens none of them.

import { closeSync, openSync, readdirSync, statSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { parseText, quote, type Parsed } from './values.ts';

/** The form of a source. Web addresses are refused: this version reads files only. */
export function parseSource(text: string): Parsed<string> {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) {
    return {
      ok: false,
      problem: 'lists are not fetched from the web in this version',
      advice: 'save the list as a file and write its path',
    };
  }
  return parseText(text);
}

const DIRECTORY_FILES = ['domains', 'domains.gz'];

/** The files behind a source: the file itself, or `domains` of a squidGuard or UT1 category directory. */
export function findListFiles(path: string): Parsed<readonly string[]> {
  const found = inspect(path);
  if (!found.ok) return found;
  if (found.value.isFile()) return readable(path);
  if (!found.value.isDirectory()) {
    return {
      ok: false,
      problem: `${path} is neither a file nor a directory`,
      advice: 'write the path of a file',
    };
  }
  for (const name of DIRECTORY_FILES) {
    const inside = inspect(join(path, name));
    if (inside.ok && inside.value.isFile()) return readable(join(path, name));
  }
  const below = categoriesBelow(path);
  return {
    ok: false,
    problem: `the directory ${path} has no file named domains`,
    advice:
      below.length > 0
        ? `write one category directory for each list, for example ${join(path, below[0]!)}`
        : 'write the path of a list file, or of a directory with a domains file',
  };
}

function inspect(path: string): Parsed<Stats> {
  try {
    return { ok: true, value: statSync(path) };
  } catch (error) {
    return { ok: false, problem: explainIo(path, error), advice: 'write the path of a file that exists' };
  }
}

function readable(path: string): Parsed<readonly string[]> {
  try {
    // Opened, not asked about: what counts is whether the gateway itself can read it.
    closeSync(openSync(path, 'r'));
    return { ok: true, value: [path] };
  } catch (error) {
    return { ok: false, problem: explainIo(path, error), advice: 'let the gateway’s user read it' };
  }
}

function categoriesBelow(path: string): string[] {
  try {
    const entries = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    return entries.map((entry) => entry.name).sort();
  } catch {
    return []; // the directory cannot be read; the message then has no example
  }
}

/** What an error of the file system means, in words. */
export function explainIo(path: string, error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'ENOENT' || code === 'ENOTDIR') return `there is no file ${path}`;
  if (code === 'EACCES' || code === 'EPERM') return `no permission to read ${path}`;
  return `${quote(path)} cannot be read (${code || 'unknown error'})`;
}
