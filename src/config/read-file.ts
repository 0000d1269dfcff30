// Reads one of the two files as text: bounded, UTF-8 only, every failure as words. It parses nothing.

import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { explainIo } from './sources.ts';
import type { Parsed } from './values.ts';

// far more than a school needs; the YAML parser takes a second or two for the worst text of this size
const LARGEST = 256_000;

/** The text of a configuration file of at most 256 KB. */
export function readConfigFile(path: string): Parsed<string> {
  try {
    // looked at before it is opened: opening a pipe would wait for its other end
    const stats = statSync(path);
    if (stats.isDirectory()) {
      return { ok: false, problem: `${path} is a directory`, advice: 'write the path of the file in it' };
    }
    if (!stats.isFile())
      return { ok: false, problem: `${path} is not a file`, advice: 'write the path of a file' };
    return decode(readBounded(path));
  } catch (error) {
    return {
      ok: false,
      problem: explainIo(path, error),
      advice: 'write the path of a file that can be read',
    };
  }
}

function readBounded(path: string): Buffer {
  const file = openSync(path, 'r');
  try {
    const buffer = Buffer.alloc(LARGEST + 1);
    let length = 0;
    while (length < buffer.length) {
      const got = readSync(file, buffer, length, buffer.length - length, null);
      if (got === 0) break;
      length += got;
    }
    return buffer.subarray(0, length);
  } finally {
    closeSync(file);
  }
}

function decode(bytes: Buffer): Parsed<string> {
  const advice = 'write a YAML file in UTF-8 (long lists of names belong in a blocklist)';
  if (bytes.length > LARGEST) return { ok: false, problem: 'the file is larger than 256 KB', advice };
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    // eslint-disable-next-line no-control-regex -- control characters are what is refused
    if (!/[\u0000-\u0008\u000e-\u001f]/.test(text)) return { ok: true, value: text };
  } catch {
    // not UTF-8: told below
  }
  return { ok: false, problem: 'the file is not a text file in UTF-8', advice };
}
