// Configuration files for a test, in a directory of their own that is removed at the end.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll } from 'vitest';
import { formatError, loadConfig } from '../../src/config/load.ts';
import type { LoadedConfig } from '../../src/config/types.ts';

export const GATEWAY = `school: { name: Example Primary }
blocklists:
  - { name: games, category: games, source: games.txt }
`;

export const POLICY = `groups:
  pupils: { default: block, ratings: { games: unacceptable } }
unknown: pupils
`;

const root = mkdtempSync(join(tmpdir(), 'schoolgate-config-'));
let count = 0;
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** A fresh directory with these files; games.txt is always there. */
export function writeFiles(files: Record<string, string | Uint8Array>): string {
  const dir = join(root, String(count++));
  mkdirSync(dir);
  for (const [name, content] of Object.entries({ 'games.txt': 'games.example\n', ...files })) {
    const path = join(dir, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
  return dir;
}

export function load(
  gateway: string | Uint8Array = GATEWAY,
  policy: string | Uint8Array = POLICY,
): LoadedConfig {
  const dir = writeFiles({ 'gateway.yaml': gateway, 'policy.yaml': policy });
  return loadConfig(join(dir, 'gateway.yaml'), { cores: 4 });
}

/** The errors, or the warnings of a good configuration, as a technician reads them; the directory is cut off. */
export function messages(result: LoadedConfig): string[] {
  const all = result.ok ? result.warnings : result.errors;
  return all.map((error) =>
    formatError(error)
      .replaceAll(`${dirname(error.file)}/`, '')
      .trim(),
  );
}
