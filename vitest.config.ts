import { availableParallelism } from 'node:os';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Files that take longest. They are short, and without a memory of their times, as on a fresh checkout, the shortest
 * files come last: one that begins then would let the other worker wait for minutes.
 */
const longest =
  /(everyModel|parity\/(curves|gradients)|plan\/studies|runs\/queue|cli\/cli|e2e\/(browser|window|export)|chat\/chat|mixes)\.test\.ts$/;

/** What a test file takes at most with what it starts: an engine with TensorFlow, a studio, a browser. */
const fileBytes = 3e9;
/** Test files at a time: one more than processors, as far as the memory reaches; while one waits, another computes. */
const filesAtOnce = Math.max(
  2,
  Math.min(availableParallelism() + 1, Math.floor(process.availableMemory() / fileBytes)),
);

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return [true, false].flatMap((isLong) =>
      sorted.filter(({ moduleId }) => longest.test(moduleId) === isLong),
    );
  }
}

export default defineConfig({
  // For what the page keeps in states (*.svelte.ts).
  plugins: [svelte({ configFile: false })],
  test: {
    include: ['tests/**/*.test.ts'],
    setupFiles: ['tests/support/setup.ts'],
    // TensorFlow must not be loaded twice into one process, and a native crash must not take the others along.
    pool: 'forks',
    maxWorkers: filesAtOnce,
    sequence: { sequencer: LongestFirst },
    // The longest test takes half a minute on two idle cores; one that shares them must not fail for that. More than
    // the patience of a single wait (tests/support/patience.ts), which says what it waited for.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    // What a page shows after an action: it is there at once, or a while later on busy cores.
    expect: { poll: { timeout: 30_000, interval: 100 } },
  },
});
