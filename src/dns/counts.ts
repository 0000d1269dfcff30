// What a DNS handler counts of its queries, for the metrics. Each query raises `queries` and, once it is answered or turned away,
// one of those that say what became of it; the others say something besides.

export type Counts = ReturnType<typeof createCounts>;

export function createCounts() {
  return {
    queries: 0,
    silent: 0,
    malformed: 0,
    unserved: 0,
    limited: 0,
    dropped: 0,
    refused: 0,
    special: 0,
    local: 0,
    allowed: 0,
    blocked: 0,
    rewritten: 0,
    portal: 0,
    undecided: 0,
    nodata: 0,
    any: 0,
    cached: 0,
    stale: 0,
    forwarded: 0,
    refreshed: 0,
    prefetched: 0,
    failed: 0,
    truncated: 0,
    crowded: 0,
    errors: 0,
    unrecorded: 0,
  };
}
