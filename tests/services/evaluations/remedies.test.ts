import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { allFiles } from '../../structure/imports.ts';
import { projectFolder } from '../../support/paths.ts';

/* What is wrong with an evaluation is told on the command line and on the page alike. */
it('no remedy of an evaluation names a flag, which the page does not have', () => {
  const files = allFiles('src-main/services/evaluations');
  expect(files.length).toBeGreaterThan(15);
  const flags = files.flatMap((name) => {
    const text = readFileSync(join(projectFolder, name), 'utf8');
    return [...text.matchAll(/(['"`])[^'"`\n]*\s--[a-z][^'"`\n]*\1/g)].map(([found]) => `${name}: ${found}`);
  });
  expect(flags).toEqual([]);
});
