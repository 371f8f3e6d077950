import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

const made: string[] = [];

/** A folder of the test's own, which is gone when its file is through. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'id-lora-test-'));
  made.push(folder);
  return folder;
}

// The first hook of a file is the last that is called: what uses the folders has ended.
afterAll(() => {
  for (const folder of made) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
});
