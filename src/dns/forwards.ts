// Names with upstreams of their own: a school's inside domain is asked of the inside server, everything else of the others.

import type { Exchange } from '../resolver/types.ts';
import type { Query } from './wire.ts';
import { QUESTION, lower } from './wire.ts';

type Forward = { readonly wire: Uint8Array; readonly exchange: Exchange };

function toWire(name: string): Uint8Array {
  const bytes: number[] = [];
  for (const label of name.split('.'))
    bytes.push(label.length, ...[...label].map((letter) => letter.charCodeAt(0)));
  return Uint8Array.from([...bytes, 0]);
}

/** `forward` maps canonical names to exchanges; the longest name that is the query's or a parent of it wins. */
export function createForwards(forward: Readonly<Record<string, Exchange>>): {
  find(packet: Uint8Array, query: Query): Exchange | null;
} {
  const all: Forward[] = Object.entries(forward)
    .map(([name, exchange]) => ({ wire: toWire(name), exchange }))
    .sort((a, b) => b.wire.length - a.wire.length);

  const covers = (packet: Uint8Array, query: Query, wire: Uint8Array): boolean => {
    let label = QUESTION;
    const from = query.nameEnd - wire.length;
    while (label < from) label += (packet[label] as number) + 1;
    if (label !== from) return false;
    for (let i = 0; i < wire.length; i++) if (lower(packet[from + i] as number) !== wire[i]) return false;
    return true;
  };

  return {
    find(packet, query) {
      for (const { wire, exchange } of all) if (covers(packet, query, wire)) return exchange;
      return null;
    },
  };
}
