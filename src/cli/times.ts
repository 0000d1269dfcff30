// Times as a technician types them: `45m`, `2h`, `3d`, or a full date and time.

import { WrongUsage } from './options.ts';

const UNITS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

function readDuration(text: string): number | null {
  const parts = /^(\d{1,6})\s*([smhdw])$/.exec(text.trim());
  return parts === null ? null : Number(parts[1]) * UNITS[parts[2]!]!;
}

function readMoment(text: string, option: string): number {
  // A date without a zone would mean another hour on another machine.
  const at = /T.*(Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : NaN;
  if (!Number.isNaN(at)) return at;
  throw new WrongUsage(
    `${option} "${text}": write how long (45m, 2h, 3d) or a date, time and zone (2026-11-22T15:00:00Z)`,
  );
}

/** `1h` is an hour before `now`; gives RFC 3339 UTC. @throws WrongUsage with what to write */
export function readSince(text: string, option: string, now: number): string {
  const span = readDuration(text);
  return new Date(span === null ? readMoment(text, option) : now - span).toISOString();
}

/** `1h` is an hour after `now`; gives RFC 3339 UTC. @throws WrongUsage with what to write */
export function readUntil(text: string, option: string, now: number): string {
  const span = readDuration(text);
  return new Date(span === null ? readMoment(text, option) : now + span).toISOString();
}
