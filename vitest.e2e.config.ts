import { defineConfig } from 'vitest/config';

/** Tests that need more than Node: dig, curl and chromium. One after the other: each starts whole gateways. */
export default defineConfig({
  test: {
    include: ['test/e2e/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 1,
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
