import { defineConfig } from 'vitest/config';

/**
 * `npm run check:long`: checks at the size of real models, one after the other, on a machine that does nothing else.
 */
export default defineConfig({
  test: {
    include: ['tests/long/**/*.long.ts'],
    setupFiles: ['tests/support/setup.ts'],
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 1_800_000,
    // Sets-up import models and make data of them.
    hookTimeout: 1_800_000,
  },
});
