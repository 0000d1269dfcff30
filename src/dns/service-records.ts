// HTTPS and SVCB records (RFC 9460) without their `ech` parameter, which would hide from the proxy which site is asked for.
// A message that has none comes back as it is; one that changes is written anew with every name in full, as a pointer could
// lead behind a place that moved. Bytes only.

import {
  QUESTION,
  TYPE_HTTPS,
  TYPE_OPT,
  TYPE_SVCB,
  expandName,
  putUint16,
  skipName,
  uint16,
} from './wire.ts';
import { NAMES_IN_DATA } from './steady-names.ts';

const KEY_MANDATORY = 0;
const KEY_ECH = 5;
const TYPE_RRSIG = 46;
const MAX_MESSAGE = 65_535;
const FLAG_AD = 0x20;

/** A record by its offsets: owner, fixed fields (type first), data, end. */
type Place = { readonly owner: number; readonly fields: number; readonly data: number; readonly end: number };

type Writer = { readonly bytes: Uint8Array; at: number };

/**
 * The message without `ech` in any record of type 64 or 65, in every section; signatures over what changed are left out and
 * AD is cleared. The same object when there is nothing to take away; null when it is malformed or would grow too long.
 */
export function withoutEch(message: Uint8Array): Uint8Array | null {
  const { length } = message;
  if (length < QUESTION || length > MAX_MESSAGE || uint16(message, 4) !== 1) return null;
  const nameEnd = skipName(message, QUESTION, length);
  if (nameEnd < 0 || nameEnd + 4 > length) return null;
  const counts = [uint16(message, 6), uint16(message, 8), uint16(message, 10)];
  const sections: Place[][] = [];
  const changedTypes = new Set<number>();
  let at = nameEnd + 4;
  for (const count of counts) {
    const places: Place[] = [];
    for (let i = 0; i < count; i++) {
      const fields = skipName(message, at, length);
      if (fields < 0 || fields + 10 > length) return null;
      const data = fields + 10;
      const end = data + uint16(message, fields + 8);
      if (end > length) return null;
      places.push({ owner: at, fields, data, end });
      const type = uint16(message, fields);
      if (isService(type)) {
        const params = paramsOf(message, data, end);
        if (params === null) return null;
        if (params.some(({ key }) => key === KEY_ECH) || mandatoryEch(message, params))
          changedTypes.add(type);
      }
      at = end;
    }
    sections.push(places);
  }
  return changedTypes.size === 0 ? message : writeAnew(message, nameEnd, sections, changedTypes);
}

function isService(type: number): boolean {
  return type === TYPE_HTTPS || type === TYPE_SVCB;
}

function writeAnew(
  message: Uint8Array,
  nameEnd: number,
  sections: readonly (readonly Place[])[],
  changedTypes: ReadonlySet<number>,
): Uint8Array | null {
  const out: Writer = { bytes: new Uint8Array(MAX_MESSAGE), at: 0 };
  copy(out, message, 0, nameEnd + 4);
  out.bytes[3] = (out.bytes[3] as number) & ~FLAG_AD;
  for (const [section, places] of sections.entries()) {
    let kept = 0;
    for (const place of places) {
      const { data, end, fields } = place;
      const type = uint16(message, fields);
      if (type === TYPE_RRSIG && end - data >= 2 && changedTypes.has(uint16(message, data))) continue;
      if (!putRecord(out, message, nameEnd, place, type)) return null;
      kept++;
    }
    putUint16(out.bytes, 6 + section * 2, kept);
  }
  return out.bytes.slice(0, out.at);
}

/** Writes a record with its names in full; false when it is malformed or there is no room. */
function putRecord(out: Writer, message: Uint8Array, nameEnd: number, place: Place, type: number): boolean {
  const { owner, fields, data, end } = place;
  if (!putOwner(out, message, owner, nameEnd) || !copy(out, message, fields, data)) return false;
  const start = out.at;
  let done: boolean;
  if (isService(type)) done = putService(out, message, data, end);
  else {
    const [before, names] = NAMES_IN_DATA.get(type) ?? [0, 0];
    let at = Math.min(data + (type === TYPE_OPT ? 0 : before), end);
    done = copy(out, message, data, at);
    for (let i = 0; i < names && done; i++) {
      const next = skipName(message, at, end);
      done = next >= 0 && putName(out, message, at);
      at = next;
    }
    done &&= copy(out, message, at, end);
  }
  if (!done || out.at - start > MAX_MESSAGE) return false;
  putUint16(out.bytes, start - 2, out.at - start);
  return true;
}

/** The owner: a pointer where it is the name of the question, which does not move. */
function putOwner(out: Writer, message: Uint8Array, owner: number, nameEnd: number): boolean {
  const from = out.at;
  if (!putName(out, message, owner)) return false;
  const size = out.at - from;
  if (size < 2 || size !== nameEnd - QUESTION) return true;
  for (let i = 0; i < size; i++) if (out.bytes[from + i] !== message[QUESTION + i]) return true;
  putUint16(out.bytes, from, 0xc000 | QUESTION);
  out.at = from + 2;
  return true;
}

function putService(out: Writer, message: Uint8Array, data: number, end: number): boolean {
  const params = paramsOf(message, data, end);
  if (params === null || !copy(out, message, data, data + 2) || !putName(out, message, data + 2))
    return false;
  for (const { key, from, to } of params) {
    if (key === KEY_ECH) continue;
    if (key !== KEY_MANDATORY) {
      if (!copy(out, message, from, to)) return false;
      continue;
    }
    // a mandatory key that is not there would make clients throw the record away, and so would an empty list
    const head = out.at;
    if (!copy(out, message, from, from + 4)) return false;
    for (let at = from + 4; at + 2 <= to; at += 2) {
      if (uint16(message, at) !== KEY_ECH && !copy(out, message, at, at + 2)) return false;
    }
    const size = out.at - head - 4;
    if (size === 0) out.at = head;
    else putUint16(out.bytes, head + 2, size);
  }
  return true;
}

type Param = { readonly key: number; readonly from: number; readonly to: number };

/** The parameters of a service record; null when it is malformed. */
function paramsOf(message: Uint8Array, data: number, end: number): Param[] | null {
  if (data + 3 > end) return null;
  const params: Param[] = [];
  let at = skipName(message, data + 2, end);
  if (at < 0) return null;
  while (at < end) {
    if (at + 4 > end) return null;
    const to = at + 4 + uint16(message, at + 2);
    if (to > end) return null;
    params.push({ key: uint16(message, at), from: at, to });
    at = to;
  }
  return params;
}

/** Whether the list of mandatory keys names `ech`, which leaves nothing to lean on when `ech` itself is missing. */
function mandatoryEch(message: Uint8Array, params: readonly Param[]): boolean {
  return params.some(({ key, from, to }) => {
    if (key !== KEY_MANDATORY) return false;
    for (let at = from + 4; at + 2 <= to; at += 2) if (uint16(message, at) === KEY_ECH) return true;
    return false;
  });
}

function putName(out: Writer, message: Uint8Array, at: number): boolean {
  if (out.at + 255 > out.bytes.length) return false;
  const size = expandName(message, at, message.length, out.bytes.subarray(out.at));
  if (size < 0) return false;
  out.at += size;
  return true;
}

function copy(out: Writer, message: Uint8Array, from: number, to: number): boolean {
  if (out.at + (to - from) > out.bytes.length) return false;
  out.bytes.set(message.subarray(from, to), out.at);
  out.at += to - from;
  return true;
}
