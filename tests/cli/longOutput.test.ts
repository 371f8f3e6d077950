import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { projectFolder } from '../support/paths.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

it.skipIf(process.platform === 'win32')('gives a slow reader all of a long document', async () => {
  const home = temporaryFolder();
  const file = join(home, 'rows.jsonl');
  const rows = Array.from({ length: 500 }, (_, i) => ({ prompt: `${i} `.repeat(100), answer: 'yes' }));
  writeFileSync(file, rows.map((row) => JSON.stringify(row)).join('\n'));
  const command = ['datasets', 'inspect', file, '--limit', '500', '--json', '--home', home];
  // A pipe between two programs holds 64 KB as long as nobody reads.
  const { stdout } = await promisify(execFile)(
    '/bin/sh',
    [
      '-c',
      '"$@" | (sleep 4; cat)',
      'sh',
      process.execPath,
      join(projectFolder, 'src-main', 'cli.ts'),
      ...command,
    ],
    { maxBuffer: 2 ** 26 },
  );
  expect(stdout.length).toBeGreaterThan(100_000);
  expect(() => JSON.parse(stdout) as unknown).not.toThrow();
});
