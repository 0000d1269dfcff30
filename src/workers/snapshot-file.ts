// Reads and writes the snapshot: the index in force as one file, so that a start needs no parsing.
// The file's layout is the blocklist room's (snapshot.ts); here are the disk and the checksum.

import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { openIndex } from '../blocklist/open-index.ts';
import {
  SNAPSHOT_HEADER_BYTES,
  checkSnapshot,
  makeSnapshotHeader,
  otherVersion,
} from '../blocklist/snapshot.ts';
import type { BlockIndex } from '../blocklist/types.ts';

const READ_STEP = 8 << 20;

/**
 * A snapshot, the reason why there is none that can be used, or null when the file is not there. `outdated`: sound, as far as
 * its head tells, but of another version of the program; it stays where it is until the next one is written over it.
 */
export type SnapshotRead =
  { readonly index: BlockIndex } | { readonly problem: string } | { readonly outdated: string } | null;

const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();

/** Reads `file` and checks every byte of it. A damaged file is set aside as `FILE.damaged-TIME` and named in `problem`. */
export function readSnapshot(file: string, now: number): SnapshotRead {
  if (!existsSync(file)) return null;
  const problem = (why: string): SnapshotRead => {
    const aside = `${file}.damaged-${now}`;
    renameSync(file, aside);
    return { problem: `${file}: ${why}; set aside as ${aside}` };
  };
  const fd = openSync(file, 'r');
  try {
    const size = fstatSync(fd).size;
    if (size < SNAPSHOT_HEADER_BYTES) return problem('shorter than a snapshot header');
    const header = new Uint8Array(SNAPSHOT_HEADER_BYTES);
    readSync(fd, header, 0, header.length, 0);
    const version = otherVersion(header);
    if (version !== null) return { outdated: `${file} is of version ${version}` };
    const buffer = new SharedArrayBuffer(size - SNAPSHOT_HEADER_BYTES);
    const bytes = new Uint8Array(buffer);
    for (let at = 0; at < bytes.length;) {
      const got = readSync(fd, bytes, at, Math.min(READ_STEP, bytes.length - at), SNAPSHOT_HEADER_BYTES + at);
      if (got === 0) return problem('it became shorter while it was read');
      at += got;
    }
    const damage = checkSnapshot(header, bytes.length, sha256(bytes));
    if (damage !== null) return problem(damage);
    return { index: openIndex(buffer) };
  } catch (error) {
    return problem((error as Error).message);
  } finally {
    closeSync(fd);
  }
}

/** Writes beside `file`, syncs, and renames into place: whoever reads meets the old snapshot or the new one, never half of one. */
export function writeSnapshot(file: string, buffer: SharedArrayBuffer): void {
  const bytes = new Uint8Array(buffer);
  const header = makeSnapshotHeader(bytes.length, sha256(bytes));
  const partial = `${file}.partial`;
  const fd = openSync(partial, 'w', 0o600);
  try {
    writeSync(fd, header);
    for (let at = 0; at < bytes.length;)
      at += writeSync(fd, bytes, at, Math.min(READ_STEP, bytes.length - at));
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(partial, file);
  const folder = openSync(dirname(file), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
