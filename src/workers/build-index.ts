// Runs the list-builder thread once and gives what it built. One build at a time is the caller's rule.

import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import type { BuildStart, FromBuilder } from './messages.ts';

/** Hash of what an index would be built from: each list's settings and its files' sizes and times, not their bytes. */
export function digestSources(sources: BuildStart['sources']): string {
  const hash = createHash('sha256');
  for (const source of sources) {
    hash.update(JSON.stringify([source.name, source.category, source.sealed, source.format, source.match]));
    for (const file of source.files) {
      try {
        const stat = statSync(file, { bigint: true });
        hash.update(`${file}\0${stat.size}\0${stat.mtimeNs}\n`);
      } catch {
        // The build will say what is wrong with it.
        hash.update(`${file}\0unreadable\n`);
      }
    }
  }
  return hash.digest('hex');
}

export type Build = {
  /** the index or the list of problems; rejects only when the thread itself dies (out of memory, say) or was stopped */
  readonly built: Promise<FromBuilder>;
  /** gives the build up: nothing of it comes into force */
  stop(): void;
};

export function buildIndex(start: BuildStart): Build {
  const worker = new Worker(new URL('./builder-thread.ts', import.meta.url), {
    name: 'list-builder',
    workerData: start,
    resourceLimits: { maxOldGenerationSizeMb: 512, maxYoungGenerationSizeMb: 16 },
  });
  const built = new Promise<FromBuilder>((resolve, reject) => {
    worker.once('message', (message: FromBuilder) => resolve(message));
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`the list-builder thread ended with code ${code}`)));
  });
  return { built, stop: () => void worker.terminate() };
}
