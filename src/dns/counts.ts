// What a DNS handler counts of its queries, for the metrics. Each query raises `queries` and what became of it.

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
