// What a group's rating of a category means for one user at one minute, and which of several ratings is the one shown.

import type { TimetableClock } from './timetable.ts';
import type { Rating, RatingKind } from './types.ts';

/**
 * A rating bound to its group and timetables. `kind: 'unrated'` is a category that no group of the chain rates.
 * `from` is the group that said it.
 */
export type CompiledRating = {
  readonly kind: RatingKind | 'unrated';
  /** the place of the kind in the order in which reasons are shown, 0 first */
  readonly rank: number;
  readonly category: string;
  readonly from: string;
  readonly timetables: readonly number[];
  readonly users: ReadonlySet<string>;
};

/** The order in which the reason for a block is shown; also of what is shown for a name that is open. */
const ORDER: readonly CompiledRating['kind'][] = [
  'illegal',
  'unacceptable',
  'permission',
  'nominated',
  'timed',
  'unrated',
  'acceptable',
];

export function compileRating(
  category: string,
  rating: Rating,
  from: string,
  timetables: ReadonlyMap<string, number>,
): CompiledRating {
  return {
    kind: rating.kind,
    rank: ORDER.indexOf(rating.kind),
    category,
    from,
    // a timetable that does not exist is never open; the check of the policy reports it
    timetables:
      rating.kind === 'timed'
        ? rating.timetables.map((t) => timetables.get(t) ?? -1).filter((t) => t >= 0)
        : [],
    users: new Set(rating.kind === 'nominated' ? rating.users : []),
  };
}

export function unrated(category: string, from: string): CompiledRating {
  return {
    kind: 'unrated',
    rank: ORDER.indexOf('unrated'),
    category,
    from,
    timetables: [],
    users: new Set(),
  };
}

/** Whether the rating keeps this user out at the clock's minute. */
export function blocks(rating: CompiledRating, user: string | null, clock: TimetableClock): boolean {
  switch (rating.kind) {
    case 'acceptable':
      return false;
    case 'timed':
      for (const timetable of rating.timetables) if (clock.isOpen(timetable)) return false;
      return true;
    case 'nominated':
      return user === null || !rating.users.has(user);
    default:
      // `permission` opens by an override for the class, which is decided before the ratings are asked
      return true;
  }
}

/** UTC ms at which a timed rating may turn next; Infinity for every other kind. */
export function turnsAt(rating: CompiledRating, clock: TimetableClock): number {
  let edge = Infinity;
  for (const timetable of rating.timetables) edge = Math.min(edge, clock.nextEdge(timetable));
  return edge;
}

/** The rating in words: `timed`, `unacceptable`; null where the group says nothing. */
export function ratingOf(kind: CompiledRating['kind']): RatingKind | null {
  return kind === 'unrated' ? null : kind;
}
