// Takes a message body apart as its bytes arrive: known length, chunks (RFC 9112 section 7.1) or until the end. Pure.
// Chunk extensions are dropped and chunks are counted strictly; what comes out is data and trailers, to be framed anew.

import { isProblem, parseFields } from './head.ts';
import type { Field, Framing } from './head.ts';

export type BodySink = {
  data(bytes: Uint8Array): void;
  end(trailers: readonly Field[]): void;
};

export type BodyReader = {
  /**
   * Takes bytes from `start` on and says how far it came, less than `bytes.length` only when the body has ended;
   * -1 when the bytes are no such body, after which the reader must not be fed again.
   */
  feed(bytes: Uint8Array, start: number): number;
  /** the connection has ended; true when that is how this body may end */
  finish(): boolean;
  readonly done: boolean;
};

const MAX_SIZE_DIGITS = 12;
const MAX_EXTENSION = 1024;
const MAX_TRAILERS = 8 * 1024;
const NO_FIELDS: readonly Field[] = [];

/** Most requests have no body: they share one reader. */
const EMPTY: BodyReader = { feed: (_bytes, start) => start, finish: () => true, done: true };

/** A reader for one body; `sink` is called while it is fed. A body without content ends at once. */
export function createBodyReader(framing: Framing, sink: BodySink): BodyReader {
  if (framing.kind === 'chunked') return createChunkReader(sink);
  let left = framing.kind === 'length' ? framing.length : framing.kind === 'close' ? Infinity : 0;
  if (left === 0) {
    sink.end(NO_FIELDS);
    return EMPTY;
  }
  let done = false;
  const close = () => {
    done = true;
    sink.end(NO_FIELDS);
  };
  return {
    feed(bytes, start) {
      if (done) return start;
      const end = Math.min(bytes.length, start + left);
      if (end > start) sink.data(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end));
      left -= end - start;
      if (left === 0) close();
      return end;
    },
    finish() {
      if (!done && framing.kind === 'close') close();
      return done;
    },
    get done() {
      return done;
    },
  };
}

type ChunkState =
  'size' | 'extension' | 'size-lf' | 'data' | 'data-cr' | 'data-lf' | 'trailer' | 'trailer-lf' | 'done';

const CR = 13;
const LF = 10;

function createChunkReader(sink: BodySink): BodyReader {
  let state: ChunkState = 'size';
  let digits = 0;
  let size = 0;
  let extension = 0;
  let line = '';
  let trailerBytes = 0;
  const trailers: string[] = [];

  /** One byte of framing; false when it does not belong there. */
  const step = (byte: number): boolean => {
    switch (state) {
      case 'size': {
        const value = hexValue(byte);
        if (value >= 0) {
          size = size * 16 + value;
          return ++digits <= MAX_SIZE_DIGITS;
        }
        if (digits === 0) return false;
        if (byte === CR) state = 'size-lf';
        else if (byte === 0x3b) state = 'extension';
        else return false;
        return true;
      }
      case 'extension':
        if (byte === CR) state = 'size-lf';
        else if ((byte < 0x20 && byte !== 9) || byte === 0x7f) return false;
        return ++extension <= MAX_EXTENSION;
      case 'size-lf':
        state = size === 0 ? 'trailer' : 'data';
        return byte === LF;
      case 'data-cr':
        state = 'data-lf';
        return byte === CR;
      case 'data-lf':
        state = 'size';
        digits = 0;
        return byte === LF;
      case 'trailer':
        if (byte === CR) state = 'trailer-lf';
        else line += String.fromCharCode(byte);
        return ++trailerBytes <= MAX_TRAILERS;
      case 'trailer-lf': {
        if (byte !== LF) return false;
        state = 'trailer';
        if (line !== '') {
          trailers.push(line);
          line = '';
          return true;
        }
        const fields = parseFields(trailers, 0);
        if (isProblem(fields)) return false;
        state = 'done';
        sink.end(fields);
        return true;
      }
      default:
        return false;
    }
  };

  return {
    feed(bytes, start) {
      let at = start;
      while (at < bytes.length && state !== 'done') {
        if (state === 'data') {
          const end = Math.min(bytes.length, at + size);
          sink.data(bytes.subarray(at, end));
          size -= end - at;
          at = end;
          if (size === 0) state = 'data-cr';
        } else if (!step(bytes[at++]!)) return -1;
      }
      return at;
    },
    finish: () => state === 'done',
    get done() {
      return state === 'done';
    },
  };
}

function hexValue(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}
