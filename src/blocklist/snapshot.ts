// The head of a snapshot file: what comes before the index's bytes, so that a file cut short, altered or of another
// program is known for what it is. The caller reads, writes and computes SHA-256; here are only the layout and the words.
//
//   "SGSNAP" CR LF | version (4 bytes) | 4 spare | payload length (8) | SHA-256 of the payload (32) | 8 spare

import { INDEX_VERSION } from './layout.ts';

/** Length of the head; the index follows. */
export const SNAPSHOT_HEADER_BYTES = 64;
/** CR LF at the end: a transfer that rewrites line ends is found out at once. */
const MAGIC = [0x53, 0x47, 0x53, 0x4e, 0x41, 0x50, 0x0d, 0x0a];
const VERSION_AT = 8;
const LENGTH_AT = 16;
const CHECKSUM_AT = 24;
const CHECKSUM_BYTES = 32;

/** The head for an index of `length` bytes with this SHA-256 (32 bytes). */
export function makeSnapshotHeader(length: number, sha256: Uint8Array): Uint8Array {
  if (sha256.length !== CHECKSUM_BYTES) throw new Error('a SHA-256 has 32 bytes');
  const header = new Uint8Array(SNAPSHOT_HEADER_BYTES);
  const view = new DataView(header.buffer);
  header.set(MAGIC);
  view.setUint32(VERSION_AT, INDEX_VERSION, true);
  view.setBigUint64(LENGTH_AT, BigInt(length), true);
  header.set(sha256, CHECKSUM_AT);
  return header;
}

/**
 * What is wrong with a snapshot, in words, or null. `header` is the file's first 64 bytes (fewer if it has no more),
 * `length` the number of bytes after them, `sha256` their SHA-256 as computed now.
 */
export function checkSnapshot(header: Uint8Array, length: number, sha256: Uint8Array): string | null {
  if (header.length === 0) return 'the snapshot is empty';
  if (MAGIC.some((byte, at) => at < header.length && header[at] !== byte)) {
    return 'it is not a snapshot: it does not begin as one';
  }
  if (header.length < SNAPSHOT_HEADER_BYTES) {
    return `the snapshot is cut short: ${header.length} bytes, less than its ${SNAPSHOT_HEADER_BYTES} byte head`;
  }
  const view = new DataView(header.buffer, header.byteOffset, SNAPSHOT_HEADER_BYTES);
  const version = view.getUint32(VERSION_AT, true);
  if (version !== INDEX_VERSION) {
    return `the snapshot is of version ${version}, this program reads version ${INDEX_VERSION}`;
  }
  if (
    [...header.subarray(12, LENGTH_AT), ...header.subarray(CHECKSUM_AT + CHECKSUM_BYTES)].some(
      (byte) => byte !== 0,
    )
  ) {
    return 'the snapshot is damaged: spare bytes of its head are not zero';
  }
  const promised = view.getBigUint64(LENGTH_AT, true);
  if (BigInt(length) < promised) return `the snapshot is cut short: ${length} of ${promised} bytes`;
  if (BigInt(length) > promised) return `the snapshot has ${length} bytes where ${promised} were written`;
  const kept = header.subarray(CHECKSUM_AT, CHECKSUM_AT + CHECKSUM_BYTES);
  if (sha256.length !== CHECKSUM_BYTES || kept.some((byte, at) => byte !== sha256[at])) {
    return 'the snapshot is damaged: its bytes are not those that were written (checksum differs)';
  }
  return null;
}

/** The version of a sound head that another version of this program wrote; null for every other head. */
export function otherVersion(header: Uint8Array): number | null {
  if (header.length < SNAPSHOT_HEADER_BYTES || MAGIC.some((byte, at) => header[at] !== byte)) return null;
  const view = new DataView(header.buffer, header.byteOffset, SNAPSHOT_HEADER_BYTES);
  const version = view.getUint32(VERSION_AT, true);
  return version === INDEX_VERSION ? null : version;
}
