// Blocks and overrides that found the ring full: a producer appends them to a file of its own, and the writer takes
// finished files in later, each exactly once. `NAME-TIME-N.open` is being written, `.ready` is finished.
// A record is length, CRC-32, event; a torn last record (power cut, kill) ends the file.

import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Decision } from '../policy/types.ts';
import { decodeDecision, encodeDecision, MAX_EVENT_BYTES, type DecodedDecision } from './event.ts';

export type Spill = {
  /** false when the spill is at its bound or the disk refuses: the caller counts the loss. Never throws */
  append(decision: Decision): boolean;
  /** finishes the file in hand, so that the writer can take it: call it about once a second, and before the end */
  roll(): void;
  /** bytes in the file in hand */
  pending(): number;
};

export type SpillDeps = {
  readonly dir: string;
  /** the producer, the same after a restart: `dns-0`. Letters, digits and dashes */
  readonly name: string;
  /** UTC ms, for file names */
  readonly now: () => number;
  /** bytes of this producer's finished and unfinished files together; 64 MiB unless told */
  readonly maxBytes?: number;
  /** a file is finished at this size; 1 MiB unless told */
  readonly fileBytes?: number;
};

const MAGIC = Buffer.from('SGSPILL1');
const RECORD_HEAD = 8;

/** Makes the directory when it is missing. Files left open by a predecessor of the same name are finished. Throws when neither works. */
export function createSpill(deps: SpillDeps): Spill {
  const { dir, name, now } = deps;
  const maxBytes = deps.maxBytes ?? 64 << 20;
  const fileBytes = deps.fileBytes ?? 1 << 20;
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const mine = (file: string) =>
    file.startsWith(`${name}-`) && /^\d+-\d+\.(open|ready)$/.test(file.slice(name.length + 1));
  for (const file of readdirSync(dir)) {
    if (mine(file) && file.endsWith('.open')) finish(join(dir, file));
  }
  const record = Buffer.alloc(RECORD_HEAD + MAX_EVENT_BYTES);
  let fd = -1;
  let path = '';
  let size = 0;
  let others = 0;
  let serial = 0;

  /** bytes of this producer's finished files that the writer has not taken yet */
  const othersNow = () =>
    readdirSync(dir)
      .filter((file) => mine(file) && file.endsWith('.ready'))
      .reduce((sum, file) => sum + sizeOf(join(dir, file)), 0);

  const begin = () => {
    others = othersNow();
    path = join(dir, `${name}-${now()}-${serial++}.open`);
    fd = openSync(path, 'ax', 0o600);
    size = writeSync(fd, MAGIC);
  };

  const roll = () => {
    if (fd < 0 || size <= MAGIC.length) return;
    const ended = fd;
    fd = -1;
    size = 0;
    closeSync(ended);
    finish(path);
  };

  return {
    append(decision) {
      try {
        const length = encodeDecision(decision, record, RECORD_HEAD);
        if (length < 0) return false;
        if (fd < 0) begin();
        const whole = RECORD_HEAD + length;
        if (others + size + whole > maxBytes) {
          // The writer may have taken some of the others since they were last counted.
          others = othersNow();
          if (others + size + whole > maxBytes) return false;
        }
        record.writeUInt32LE(length, 0);
        record.writeUInt32LE(crc32(record.subarray(RECORD_HEAD, whole)), 4);
        const wrote = writeSync(fd, record, 0, whole);
        size += wrote;
        if (wrote < whole) {
          // What follows half a record could not be read: this file ends here.
          roll();
          return false;
        }
        if (size >= fileBytes) roll();
        return true;
      } catch {
        return false;
      }
    },
    roll() {
      try {
        roll();
      } catch {
        // It stays `.open`; the next start finishes it.
      }
    },
    pending: () => size,
  };
}

/** The finished files of a directory, oldest first; none when there is no directory. */
export function listSpills(dir: string): { name: string; path: string }[] {
  let files: string[];
  try {
    files = readdirSync(dir);
  } catch {
    return [];
  }
  const time = (file: string) => Number(/-(\d+)-\d+\.ready$/.exec(file)?.[1] ?? 0);
  return files
    .filter((file) => file.endsWith('.ready'))
    .sort((a, b) => time(a) - time(b) || (a < b ? -1 : 1))
    .map((name) => ({ name, path: join(dir, name) }));
}

/** The events of a file up to the first record that cannot be read; `damaged` is how many bytes were left. Throws on I/O errors. */
export function readSpill(path: string): { events: DecodedDecision[]; damaged: number } {
  const bytes = readFileSync(path);
  const events: DecodedDecision[] = [];
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) return { events, damaged: bytes.length };
  let at = MAGIC.length;
  while (at + RECORD_HEAD <= bytes.length) {
    const length = bytes.readUInt32LE(at);
    const end = at + RECORD_HEAD + length;
    if (length > MAX_EVENT_BYTES || end > bytes.length) break;
    if (crc32(bytes.subarray(at + RECORD_HEAD, end)) !== bytes.readUInt32LE(at + 4)) break;
    const event = decodeDecision(bytes, at + RECORD_HEAD, length);
    if (event === null) break;
    events.push(event);
    at = end;
  }
  return { events, damaged: bytes.length - at };
}

/** Deletes a file that was taken in. One that cannot be deleted is known by name and not taken twice. */
export function removeSpill(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // The database remembers the name.
  }
}

function finish(path: string): void {
  renameSync(path, path.replace(/\.open$/, '.ready'));
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    return 0;
  }
}
