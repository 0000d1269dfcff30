// Times as the API writes them (RFC 3339) and as the gateway keeps them (UTC ms). No clock here.

const RFC3339 =
  /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.\d{1,9})?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;

/** UTC ms of an RFC 3339 time, or null: the offset must be there, and the day must exist (no 30 February). */
export const parseTime = (text: string): number | null => {
  const parts = RFC3339.exec(text);
  if (!parts) return null;
  const [year, month, day, hour, minute, second] = parts.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  if (hour > 23 || minute > 59 || second > 59 || month < 1 || month > 12 || day < 1) return null;
  if (day > new Date(Date.UTC(year, month, 0)).getUTCDate()) return null;
  const at = Date.parse(text.replace(' ', 'T').toUpperCase());
  return Number.isNaN(at) ? null : at;
};

/** RFC 3339 in UTC. */
export const formatTime = (at: number): string => new Date(at).toISOString();

/** As `formatTime`; null stays null. */
export const formatMaybe = (at: number | null): string | null => (at === null ? null : formatTime(at));
