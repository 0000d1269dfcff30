// The life of the index: from the snapshot at start, built aside when the lists have changed, handed on whole. A build that
// fails leaves everything as it was. It decides nothing about names and tells no thread: `onIndex` does.

import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import type { BlockIndex, Seed } from '../blocklist/types.ts';
import { openIndex } from '../blocklist/open-index.ts';
import { buildIndex, digestSources, type Build } from './build-index.ts';
import type { BuildStart } from './messages.ts';
import { readSnapshot } from './snapshot-file.ts';

export type ListState = {
  readonly generation: number;
  readonly names: number;
  readonly lists: number;
  /** names taken from sealed lists */
  readonly sealed: number;
  /** when the index in force was built or read, UTC ms */
  readonly since: number | null;
  readonly building: boolean;
  /** why the last build or snapshot was refused; empty when all is well */
  readonly problems: readonly string[];
};

export type ListKeeper = {
  readonly seed: Seed;
  /** the index in force, or null while there is none */
  index(): { readonly index: BlockIndex; readonly generation: number } | null;
  /**
   * Builds and hands on a new index when `sources` differ from what the index was built from; resolves with whether the lists
   * now in force are those of `sources`. Calls while a build runs wait for it and look again.
   */
  refresh(sources: BuildStart['sources']): Promise<boolean>;
  state(): ListState;
  /** gives up a build that runs; nothing comes into force any more */
  stop(): void;
};

const toSeed = (bytes: Buffer): Seed => ({ lo: bytes.readUInt32LE(0), hi: bytes.readUInt32LE(4) });

/** Reads the snapshot at once; a damaged one is set aside, logged, and waits to be rebuilt by `refresh`. */
export function createListKeeper(deps: {
  readonly log: Logger;
  readonly snapshotFile: string;
  readonly now: () => number;
  readonly onIndex: (index: BlockIndex, generation: number) => Promise<void>;
}): ListKeeper {
  const { log, snapshotFile, now } = deps;
  // Seconds since 1970, so that the number in an audit row also says which index it was after a restart.
  const nextGeneration = (before: number): number => Math.max(before + 1, Math.floor(now() / 1000));
  let inForce: { index: BlockIndex; generation: number } | null = null;
  let since: number | null = null;
  let problems: readonly string[] = [];
  let running: Promise<unknown> = Promise.resolve();
  let building = false;
  let current: Build | null = null;
  let stopped = false;

  const snapshot = readSnapshot(snapshotFile, now());
  if (snapshot !== null && 'index' in snapshot) {
    inForce = { index: snapshot.index, generation: nextGeneration(0) };
    since = now();
  } else if (snapshot !== null && 'outdated' in snapshot) {
    log.info({ snapshot: snapshot.outdated }, 'the snapshot is of another version; the lists are read again');
  } else if (snapshot !== null) {
    problems = [snapshot.problem];
    log.error({ problem: snapshot.problem }, 'the snapshot cannot be used; the lists are read again');
  }
  const seed = inForce?.index.seed ?? toSeed(randomBytes(8));

  async function build(sources: BuildStart['sources']): Promise<boolean> {
    if (stopped) return false;
    const digest = digestSources(sources);
    if (inForce?.index.digest === digest) return true;
    building = true;
    if (inForce !== null)
      log.info('the lists have changed: the index in force stays until the next is built');
    const startedAt = performance.now();
    try {
      current = buildIndex({ sources, seed, digest, snapshotFile });
      const built = await current.built;
      if (stopped) return false;
      if (built.kind === 'failed') {
        problems = built.problems;
        for (const problem of built.problems) log.error({ problem }, 'list refused; the lists in force stay');
        return false;
      }
      for (const { name, path, report } of built.lists) {
        const level = report.skipped > 0 ? 'warn' : 'debug';
        log[level](
          { list: name, path, taken: report.taken, skipped: report.skipped, reasons: report.reasons },
          'list read',
        );
      }
      problems = built.snapshotProblem === null ? [] : [built.snapshotProblem];
      if (built.snapshotProblem !== null)
        log.error({ problem: built.snapshotProblem }, 'no snapshot; the next start is slower');
      inForce = { index: openIndex(built.buffer), generation: nextGeneration(inForce?.generation ?? 0) };
      since = now();
      await deps.onIndex(inForce.index, inForce.generation);
      const { names, bytes, v4, v6 } = inForce.index;
      log.info(
        {
          names,
          addressRanges: v4.count + v6.count,
          lists: built.lists.length,
          bytes,
          generation: inForce.generation,
          ms: Math.round(performance.now() - startedAt),
        },
        'lists in force',
      );
      return true;
    } catch (error) {
      if (stopped) return false;
      problems = [(error as Error).message];
      log.error({ err: error }, 'the lists could not be built; those in force stay');
      return false;
    } finally {
      building = false;
      current = null;
    }
  }

  return {
    seed,
    index: () => inForce,
    refresh(sources) {
      const result = running.then(() => build(sources));
      running = result;
      return result;
    },
    stop() {
      stopped = true;
      current?.stop();
    },
    state: () => ({
      generation: inForce?.generation ?? 0,
      names: inForce?.index.names ?? 0,
      lists: inForce?.index.lists.length ?? 0,
      sealed: (inForce?.index.lists ?? []).reduce((sum, list) => sum + (list.sealed ? list.entries : 0), 0),
      since,
      building,
      problems,
    }),
  };
}
