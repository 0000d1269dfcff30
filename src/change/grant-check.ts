// What a grant may say: checks names, scope, time and reason before anything is written. Writes nothing itself.

import { isIP } from 'node:net';

export type Scope = {
  readonly groups: readonly string[];
  readonly classes: readonly string[];
  readonly users: readonly string[];
};

/** A wish for an override as it comes in; times are UTC ms. */
export type GrantRequest = {
  readonly names: readonly string[];
  readonly scope: { groups?: readonly string[]; classes?: readonly string[]; users?: readonly string[] };
  /** absent: now */
  readonly from?: number;
  readonly until: number;
  readonly reason: string;
};

export type GrantChecks = {
  /** the canonical form of a host name, or null */
  readonly canonicalName: (text: string) => string | null;
  /** a name under which others register: `co.uk`, `github.io` */
  readonly isPublicSuffix: (name: string) => boolean;
  /** a sealed list holds this name, so nothing may open it */
  readonly isSealed: (name: string) => boolean;
  readonly isGroup: (name: string) => boolean;
  readonly isClass: (name: string) => boolean;
  readonly isUser: (name: string) => boolean;
  /** the longest time from now to the end, ms */
  readonly maxMs: number;
  /** how many may be open at once, over all */
  readonly maxOpen: number;
};

/** "For the period of study": no longer than a term. */
export const DEFAULT_MAX_MS = 12 * 7 * 86_400_000;
export const DEFAULT_MAX_OPEN = 2_000;

export type OverrideErrorCode = 'invalid' | 'sealed' | 'unknown' | 'too-many';

/** `field` is the path of what is wrong (`names[2]`); `message` says what to write instead. */
export class OverrideError extends Error {
  readonly code: OverrideErrorCode;
  readonly field: string;
  constructor(code: OverrideErrorCode, field: string, message: string) {
    super(message);
    this.name = 'OverrideError';
    this.code = code;
    this.field = field;
  }
}

const MAX_NAMES = 50;
const MAX_SCOPE = 50;
/** A clock that runs a little ahead on the asking machine is no reason to refuse. */
const PAST_MS = 60_000;

/** The request in canonical form. Throws OverrideError for the first thing that is wrong. */
export const checkGrant = (
  request: GrantRequest,
  checks: GrantChecks,
  now: number,
): { names: string[]; scope: Scope; from: number; until: number; reason: string } => ({
  names: checkNames(request.names, checks),
  scope: checkScope(request.scope, checks),
  ...checkTimes(request, checks, now),
  reason: checkReason(request.reason),
});

/** A reason as it is kept. Throws OverrideError. */
export const checkReason = (reason: string): string => {
  const said = reason.normalize('NFC').trim();
  if (said.length < 3 || said.length > 500) throw wrong('reason', 'Say why, in 3 to 500 characters.');
  return said;
};

const checkNames = (texts: readonly string[], checks: GrantChecks): string[] => {
  if (texts.length === 0 || texts.length > MAX_NAMES) throw wrong('names', `Give 1 to ${MAX_NAMES} names.`);
  const names = texts.map((text, at) => {
    const field = `names[${at}]`;
    const name = checks.canonicalName(text);
    if (isIP(name ?? text.replace(/^\[|\]$/g, '')) !== 0) {
      throw wrong(field, 'This is an address. Give the name of the site, such as bbc.co.uk.');
    }
    if (name === null) {
      throw wrong(
        field,
        'This is not a host name. Write only the name, such as bbc.co.uk, without http:// or a path.',
      );
    }
    // A top-level name is a public suffix even when no list of suffixes knows it.
    if (!name.includes('.') || checks.isPublicSuffix(name)) {
      throw wrong(field, `${name} would open every site below it. Give the name of one site.`);
    }
    return name;
  });
  return [...new Set(names)];
};

const checkScope = (given: GrantRequest['scope'], checks: GrantChecks): Scope => {
  const scope: Scope = {
    groups: [...new Set(given.groups ?? [])],
    classes: [...new Set(given.classes ?? [])],
    users: [...new Set((given.users ?? []).map((name) => name.toLowerCase()))],
  };
  const size = scope.groups.length + scope.classes.length + scope.users.length;
  if (size === 0) throw wrong('scope', 'Say for whom: at least one of groups, classes or users.');
  if (size > MAX_SCOPE) throw wrong('scope', `Give at most ${MAX_SCOPE} groups, classes and users together.`);
  const rules = [
    ['groups', checks.isGroup, 'group'],
    ['classes', checks.isClass, 'class'],
    ['users', checks.isUser, 'user'],
  ] as const;
  for (const [key, isKnown, word] of rules) {
    const at = scope[key].findIndex((name) => !isKnown(name));
    if (at >= 0) throw wrong(`scope.${key}`, `There is no ${word} "${scope[key][at]?.slice(0, 64)}".`);
  }
  return scope;
};

const checkTimes = (
  request: GrantRequest,
  checks: GrantChecks,
  now: number,
): { from: number; until: number } => {
  const from = request.from ?? now;
  const { until } = request;
  if (!Number.isSafeInteger(from) || from < now - PAST_MS) {
    throw wrong('from', 'This is in the past. Leave it out to begin now.');
  }
  if (!Number.isSafeInteger(until) || until <= now) throw wrong('until', 'Give a time in the future.');
  if (until <= from) throw wrong('until', 'It must end after it begins.');
  if (until - now > checks.maxMs) {
    const days = Math.floor(checks.maxMs / 86_400_000);
    const span =
      days >= 1 ? `${days} ${days === 1 ? 'day' : 'days'}` : `${Math.floor(checks.maxMs / 60_000)} minutes`;
    throw wrong('until', `The longest override ends ${span} from now. Give an earlier time.`);
  }
  return { from: Math.max(from, now), until };
};

const wrong = (field: string, message: string): OverrideError => new OverrideError('invalid', field, message);
