// What one thread takes of the machine, for the metrics: its JavaScript heap and its CPU time. The shared index is main's and is
// not in it.

import { getHeapStatistics } from 'node:v8';

/** Bytes of this thread's heap, seconds of CPU since it began. */
export function threadStats(): Record<string, number> {
  const { used_heap_size, total_heap_size, external_memory } = getHeapStatistics();
  const { user, system } = process.threadCpuUsage();
  return {
    heapUsedBytes: used_heap_size,
    heapTotalBytes: total_heap_size,
    heapExternalBytes: external_memory,
    cpuUserSeconds: user / 1e6,
    cpuSystemSeconds: system / 1e6,
  };
}
