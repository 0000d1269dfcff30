// A file that only takes up room: when the disk is full it is deleted, and the log can go on while someone makes space.

import { closeSync, fsyncSync, openSync, rmSync, statfsSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

export type Ballast = {
  /** gives the room back to the disk; false when there was none to give */
  free(): boolean;
  /** makes the file when it is missing and four times its size is free; false when there is none */
  refill(): boolean;
};

/** `bytes` 0 means none is kept. */
export function createBallast(file: string, bytes: number): Ballast {
  const present = () => {
    try {
      return statSync(file).size >= bytes;
    } catch {
      return false;
    }
  };
  return {
    free() {
      if (bytes === 0) return false;
      try {
        const had = statSync(file).size > 0;
        rmSync(file);
        return had;
      } catch {
        return false;
      }
    },
    refill() {
      if (bytes === 0 || present()) return true;
      try {
        const disk = statfsSync(dirname(file));
        if (disk.bavail * disk.bsize < 4 * bytes) return false;
        fill(file, bytes);
        return true;
      } catch {
        return false;
      }
    },
  };
}

/** Real bytes, not a hole: a sparse file would give nothing back. */
function fill(file: string, bytes: number): void {
  const chunk = new Uint8Array(Math.min(bytes, 1 << 20)).fill(0x5a);
  const fd = openSync(file, 'w', 0o600);
  try {
    for (let left = bytes; left > 0;) left -= writeSync(fd, chunk, 0, Math.min(left, chunk.length));
    fsyncSync(fd);
  } catch (error) {
    rmSync(file, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
}
