// Thread entry: reads every list, builds the next index, writes the snapshot, hands the index over and ends.
// It never touches the index in force. A list that cannot be read or yields nothing fails the build: the old index stays.

import { createReadStream } from 'node:fs';
import { domainToASCII } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';
import { createGunzip } from 'node:zlib';
import { getPublicSuffix } from 'tldts';
import { createIndexBuilder } from '../blocklist/build-index.ts';
import { lowerPriority } from './lower-priority.ts';
import type { BuildStart, BuiltList, FromBuilder } from './messages.ts';
import { writeSnapshot } from './snapshot-file.ts';

// The names are canonical already, so the library need not look for a host in them: that halves the time of a build.
const SUFFIX_OPTIONS = { allowPrivateDomains: true, extractHostname: false, validateHostname: false };
const isPublicSuffix = (name: string): boolean => getPublicSuffix(name, SUFFIX_OPTIONS) === name;

lowerPriority();

async function readInto(path: string, chunk: (text: string) => void): Promise<void> {
  const file = createReadStream(path, { highWaterMark: 256 << 10 });
  const bytes = path.endsWith('.gz') ? file.pipe(createGunzip()) : file;
  if (bytes !== file) file.on('error', (error) => bytes.destroy(error));
  bytes.setEncoding('utf8');
  for await (const text of bytes) chunk(text as string);
}

async function build(start: BuildStart): Promise<FromBuilder> {
  const builder = createIndexBuilder({ seed: start.seed, toAscii: domainToASCII, isPublicSuffix });
  const lists: BuiltList[] = [];
  const problems: string[] = [];
  for (const source of start.sources) {
    const sink = builder.begin(source);
    try {
      for (const file of source.files) {
        await readInto(file, (text) => sink.chunk(text));
        sink.fileEnd();
      }
      const report = sink.end();
      lists.push({ name: source.name, path: source.source, report });
      if (report.taken === 0) {
        const example = report.examples[0];
        const why = example ? ` (line ${example.line}: ${example.why})` : '';
        problems.push(
          `list ${source.name}: ${source.source} yields no name and no address${why}; check its format`,
        );
      }
    } catch (error) {
      sink.abandon();
      problems.push(`list ${source.name}: ${source.source} cannot be read: ${(error as Error).message}`);
    }
  }
  if (problems.length > 0) return { kind: 'failed', problems };
  const { buffer } = builder.finish(start.digest);
  let snapshotProblem: string | null = null;
  try {
    writeSnapshot(start.snapshotFile, buffer);
  } catch (error) {
    // The index is good without its copy on disk; only the next start is slower.
    snapshotProblem = `${start.snapshotFile} cannot be written: ${(error as Error).message}`;
  }
  return { kind: 'built', buffer, lists, snapshotProblem };
}

parentPort!.postMessage(await build(workerData as BuildStart));
