import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { projectFolder } from '../../support/paths.ts';

/* What is wrong with an evaluation is told on the command line and on the page alike. */
it('no remedy of an evaluation names a flag, which the page does not have', () => {
  const folder = join(projectFolder, 'src-main', 'services', 'evaluations');
  const flags = readdirSync(folder).flatMap((name) => {
    const text = readFileSync(join(folder, name), 'utf8');
    return [...text.matchAll(/(['"`])[^'"`\n]*\s--[a-z][^'"`\n]*\1/g)].map(([found]) => `${name}: ${found}`);
  });
  expect(flags).toEqual([]);
});
