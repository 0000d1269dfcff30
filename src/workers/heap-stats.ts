// What one thread's JavaScript heap holds, for the metrics. The shared index is main's and is not in it.

import { getHeapStatistics } from 'node:v8';

/** Bytes of this thread's heap. */
export function heapStats(): Record<string, number> {
  const { used_heap_size, total_heap_size, external_memory } = getHeapStatistics();
  return {
    heapUsedBytes: used_heap_size,
    heapTotalBytes: total_heap_size,
    heapExternalBytes: external_memory,
  };
}
