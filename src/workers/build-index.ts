// Runs the list-builder thread once and gives what it built. One build at a time is the caller's rule.

import { createHash } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { BuildStart, FromBuilder } from './messages.ts';

/** Hash of what an index would be built from: each list's settings and its files' sizes and times, not their bytes. */
export function digestSources(sources: BuildStart['sources']): string {
  const hash = createHash('sha256');
  const add = (path: string): void => {
    if (statSync(path).isDirectory()) for (const entry of readdirSync(path).sort()) addFile(join(path, entry));
    else addFile(path);
  };
  const addFile = (path: string): void => {
    const stat = statSync(path, { bigint: true });
    if (stat.isFile()) hash.update(`${path}\0${stat.size}\0${stat.mtimeNs}\n`);
  };
  for (const source of sources) {
    hash.update(JSON.stringify([source.name, source.category, source.sealed, source.format, source.match]));
    try {
      add(source.path);
    } catch {
      hash.update(`${source.path}\0unreadable\n`);
    }
  }
  return hash.digest('hex');
}

/** Resolves with the index or the list of problems; rejects only when the thread itself dies (out of memory, say). */
export function buildIndex(start: BuildStart): Promise<FromBuilder> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./builder-thread.ts', import.meta.url), {
      name: 'list-builder',
      workerData: start,
      resourceLimits: { maxOldGenerationSizeMb: 512, maxYoungGenerationSizeMb: 16 },
    });
    worker.once('message', (message: FromBuilder) => resolve(message));
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`the list-builder thread ended with code ${code}`)));
  });
}
