import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  // For what the page keeps in states (*.svelte.ts).
  plugins: [svelte({ configFile: false })],
  test: {
    include: ['tests/**/*.test.ts'],
    setupFiles: ['tests/support/setup.ts'],
    // TensorFlow must not be loaded twice into one process, and a native crash must not take the others along.
    pool: 'forks',
    maxWorkers: 2,
    // The longest test takes half a minute on two idle cores; one that shares them must not fail for that.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // What a page shows after an action: it is there at once, or a while later on busy cores.
    expect: { poll: { timeout: 10_000, interval: 100 } },
  },
});
