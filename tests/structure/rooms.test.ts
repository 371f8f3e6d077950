import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { pageSources } from '../../src-main/setup/checkout/page.mjs';
import { allFiles, circles, sourceFiles } from './imports.ts';

/** More files side by side than this, and nobody finds one by its name. */
const mostFilesInAFolder = 20;
/** A file with fewer lines that serves one other file only is a part of it. */
const fewestLines = 60;

/**
 * Files with one importer by their nature: what a registry or a composition root lists (methods, families, optimizers,
 * migrations, commands, services, pages), and entries of processes and threads.
 */
const listedBy = [
  'src-main/cli.ts',
  'src-main/core/createCore.ts',
  'src-main/engine/process/jobs.ts',
  'src-main/evaluation/benchmarks/registry.ts',
  'src-main/engine/training/parameterUpdate.ts',
  'src-main/formats/families/registry.ts',
  'src-main/methods/registry.ts',
  'src-main/shell/main.ts',
  'src-main/store/database.ts',
  'src-renderer/App.svelte',
  'src-renderer/Pages.svelte',
];
/** The store has a file for each family of tables, however small. */
const tables = 'src-main/store/';
const entries = /(^|\/)(\w*[wW]orker|child|main|repair)\.(ts|mjs)$/;

const everything = sourceFiles('src-main', 'src-renderer', 'tests');
const source = everything.filter(({ path }) => !path.startsWith('tests/'));

describe('the rooms of the house', () => {
  it('finds the files and their imports', () => {
    const core = source.find(({ path }) => path === 'src-main/core/createCore.ts')!;
    expect(source.length).toBeGreaterThan(400);
    expect(core.imports).toContain('src-main/store/database.ts');
    expect(
      circles([
        { path: 'a', lines: 1, imports: ['b'] },
        { path: 'b', lines: 1, imports: ['a'] },
      ]),
    ).toEqual([['a', 'b']]);
  });

  it(`no folder holds more than ${mostFilesInAFolder} files`, () => {
    const counts = new Map<string, number>();
    for (const path of allFiles('src-main', 'src-renderer', 'tests')) {
      const folder = posix.dirname(path);
      counts.set(folder, (counts.get(folder) ?? 0) + 1);
    }
    expect([...counts].filter(([, count]) => count > mostFilesInAFolder)).toEqual([]);
  });

  it('the page is built anew when one of the files changes that it is built from', () => {
    const importsOf = new Map(source.map(({ path, imports }) => [path, imports]));
    const built = new Set([...importsOf.keys()].filter((path) => /^src-(renderer|main\/shell)\//.test(path)));
    for (const path of built) for (const target of importsOf.get(path) ?? []) built.add(target);
    const isWatched = (path: string) =>
      pageSources.some((watched) => path === watched || path.startsWith(`${watched}/`));
    expect([...built].filter((path) => !isWatched(path))).toEqual([]);
    expect(built.size).toBeGreaterThan(200);
  });

  it('no files import each other in a circle', () => {
    expect(circles(source)).toEqual([]);
  });

  it(`no file under ${fewestLines} lines serves one other file only`, () => {
    const importers = new Map<string, string[]>();
    for (const { path, imports } of everything)
      for (const target of imports) importers.set(target, [...(importers.get(target) ?? []), path]);
    const parts = source
      .filter(({ path, lines }) => lines < fewestLines && !entries.test(path) && !path.startsWith(tables))
      .map(({ path, lines }) => ({ path, lines, importers: importers.get(path) ?? [] }))
      .filter(({ importers }) => importers.length === 1 && !listedBy.includes(importers[0]!));
    expect(parts.map(({ path, lines, importers }) => `${path} (${lines} lines) <- ${importers[0]}`)).toEqual(
      [],
    );
  });
});
