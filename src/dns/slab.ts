// Memory for records of different sizes out of one block: pages of one size class each, so that nothing ever moves and a
// freed place is at once good for the next of its size. Which record goes when all is full is the clock's: the first that
// was not used since it last came by. What a record holds is its owner's.

/** Where a record begins, in bytes; a multiple of 8. */
export type Place = number;
export const NONE: Place = -1;

export type Slab = {
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly doubles: Float64Array;
  /** A place for `size` bytes, taken from an older record if need be; NONE when no record may be so large. */
  take(size: number): Place;
  /** gives a place back */
  free(place: Place): void;
  /** counts a use of the record; how often it was used lately, 0 to 3 */
  touch(place: Place): number;
  /** hands out every place that is taken */
  each(visit: (place: Place) => void): void;
  /** bytes of taken places */
  used(): number;
};

const PAGE = 128 * 1024;
/** The first word of a record belongs to the slab: its uses, and that it is taken. */
const USES = 3;
const TAKEN = 4;
/** Records the clock passes over for their uses before one must go all the same. */
const PATIENCE = 128;

/** Sizes of places: steps of 16 bytes first, then an eighth more each time. */
const SIZES: readonly number[] = (() => {
  const sizes: number[] = [];
  for (let size = 96; size <= PAGE; size += Math.max(16, (size >>> 3) & ~7)) sizes.push(size);
  if (sizes.at(-1) !== PAGE) sizes.push(PAGE);
  return sizes;
})();

type Class = {
  readonly size: number;
  readonly perPage: number;
  readonly pages: number[];
  /** the first of the freed places, each of which holds the next in its second word, plus 1 */
  freed: number;
  /** places of the newest page that were never taken */
  fresh: number;
  handPage: number;
  handSlot: number;
};

/** `onEvict` hears of each record that has to go, while its bytes are still there. */
export function createSlab(deps: { maxBytes: number; onEvict: (place: Place) => void }): Slab {
  const pageCount = Math.max(4, Math.floor(deps.maxBytes / PAGE));
  const memory = new ArrayBuffer(pageCount * PAGE);
  const bytes = new Uint8Array(memory);
  const words = new Uint32Array(memory);
  const classes: Class[] = SIZES.map((size) => ({
    size,
    perPage: Math.floor(PAGE / size),
    pages: [],
    freed: NONE,
    fresh: 0,
    handPage: 0,
    handSlot: 0,
  }));
  const classOfPage = new Int16Array(pageCount).fill(-1);
  let nextPage = 0;
  let used = 0;

  function classFor(size: number): number {
    let low = 0;
    let high = SIZES.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((SIZES[middle] as number) < size) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  function take(size: number): Place {
    if (size > PAGE) return NONE;
    const number = classFor(size);
    const of = classes[number] as Class;
    let place = of.freed;
    if (place >= 0) of.freed = (words[(place >>> 2) + 1] as number) - 1;
    else {
      if (of.fresh === 0 && !addPage(number)) evict(of);
      if (of.freed >= 0) {
        place = of.freed;
        of.freed = (words[(place >>> 2) + 1] as number) - 1;
      } else {
        const page = of.pages[of.pages.length - 1] as number;
        place = page * PAGE + (of.perPage - of.fresh) * of.size;
        of.fresh--;
      }
    }
    words[place >>> 2] = TAKEN;
    used += of.size;
    return place;
  }

  /** Gives a class another page: a new one, or, when it has none at all, one of the class that has most. */
  function addPage(number: number): boolean {
    let page = -1;
    if (nextPage < pageCount) page = nextPage++;
    else if ((classes[number] as Class).pages.length === 0) page = robPage();
    if (page < 0) return false;
    classOfPage[page] = number;
    const of = classes[number] as Class;
    of.pages.push(page);
    of.fresh = of.perPage;
    // What lay here before means nothing now.
    for (let slot = 0; slot < of.perPage; slot++) words[(page * PAGE + slot * of.size) >>> 2] = 0;
    return true;
  }

  /** Empties the oldest page of the class with most pages. */
  function robPage(): number {
    let from = classes[0] as Class;
    for (const of of classes) if (of.pages.length > from.pages.length) from = of;
    const page = from.pages.shift() as number;
    for (let slot = 0; slot < from.perPage; slot++) {
      const place = page * PAGE + slot * from.size;
      if (((words[place >>> 2] as number) & TAKEN) === 0) continue;
      deps.onEvict(place);
      words[place >>> 2] = 0;
      used -= from.size;
    }
    from.handPage = 0;
    from.handSlot = 0;
    if (from.pages.length === 0) from.fresh = 0;
    relinkFreed(from);
    return page;
  }

  /** The freed places of a class anew, as some lay on a page that is no longer its own. */
  function relinkFreed(of: Class): void {
    of.freed = NONE;
    for (const page of of.pages) {
      const never = page === of.pages[of.pages.length - 1] ? of.fresh : 0;
      for (let slot = 0; slot < of.perPage - never; slot++) {
        const place = page * PAGE + slot * of.size;
        if (((words[place >>> 2] as number) & TAKEN) === 0) link(of, place);
      }
    }
  }

  function link(of: Class, place: Place): void {
    words[place >>> 2] = 0;
    words[(place >>> 2) + 1] = of.freed + 1;
    of.freed = place;
  }

  /** Turns the hand of a full class until a record has to go. */
  function evict(of: Class): void {
    for (let patience = PATIENCE; ;) {
      if (of.handPage >= of.pages.length) of.handPage = 0;
      const place = (of.pages[of.handPage] as number) * PAGE + of.handSlot * of.size;
      if (++of.handSlot === of.perPage) {
        of.handSlot = 0;
        of.handPage++;
      }
      const state = words[place >>> 2] as number;
      if ((state & TAKEN) === 0) continue;
      if ((state & USES) > 0 && patience-- > 0) {
        words[place >>> 2] = state - 1;
        continue;
      }
      deps.onEvict(place);
      used -= of.size;
      link(of, place);
      return;
    }
  }

  return {
    bytes,
    words,
    doubles: new Float64Array(memory),
    take,
    free(place) {
      const of = classes[classOfPage[Math.floor(place / PAGE)] as number] as Class;
      used -= of.size;
      link(of, place);
    },
    touch(place) {
      const state = words[place >>> 2] as number;
      const uses = state & USES;
      if (uses < USES) words[place >>> 2] = state + 1;
      return uses;
    },
    each(visit) {
      for (const of of classes) {
        for (const page of of.pages) {
          for (let slot = 0; slot < of.perPage; slot++) {
            const place = page * PAGE + slot * of.size;
            if (((words[place >>> 2] as number) & TAKEN) !== 0) visit(place);
          }
        }
      }
    },
    used: () => used,
  };
}
