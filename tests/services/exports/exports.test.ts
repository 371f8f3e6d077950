import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import type { ExportRecord } from '../../../src-main/contract/results.ts';
import { StudioError } from '../../../src-main/contract/errors.ts';
import { methods } from '../../../src-main/contract/training.ts';
import { exitsOf, exitSentence } from '../../../src-main/options/exits.ts';
import { prepareExportFolder } from '../../../src-main/services/exports/exportFolder.ts';
import { typedPath } from '../../../src-main/services/homePaths.ts';
import { openWritable } from '../../../src-main/store/database.ts';
import { ensureProject } from '../../../src-main/store/projects.ts';
import { insertExport } from '../../../src-main/store/results.ts';
import { insertRun } from '../../../src-main/store/runs.ts';
import { createCore } from '../../../src-main/core/createCore.ts';
import { sampleRun } from '../../support/sampleRun.ts';
import { smallDisk } from '../../support/faults/smallDisk.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

function failure(path: string, format: 'peft' | 'merged' = 'peft'): unknown {
  try {
    prepareExportFolder({ path, format, bytes: 1000 });
  } catch (error) {
    return error;
  }
  return null;
}

it.runIf(process.platform === 'linux')('a folder that the system does not take is refused at once', () => {
  expect(failure('/proc/x/y')).toMatchObject({
    code: 'not_found',
    message: 'The folder /proc/x cannot be made: the system takes no folders there.',
  });
  expect(failure('/proc/x')).toBeInstanceOf(StudioError);
});

it('a folder below a file, or with too long a name, is refused and leaves nothing', () => {
  const parent = temporaryFolder();
  writeFileSync(join(parent, 'file'), '');
  expect(failure(join(parent, 'file', 'out'))).toMatchObject({ code: 'not_found' });
  expect(failure(join(parent, 'new', 'x'.repeat(300), 'out'))).toMatchObject({
    message: expect.stringContaining('a name in it is too long') as string,
  });
  expect(readdirSync(parent)).toEqual(['file']);
});

it('what lies there already decides', () => {
  const parent = temporaryFolder();
  const folder = (name: string, file?: string) => {
    mkdirSync(join(parent, name));
    if (file) writeFileSync(join(parent, name, file), '{}');
    return join(parent, name);
  };
  expect(failure(join(parent, 'a', 'b', 'out'))).toBeNull();
  expect(existsSync(join(parent, 'a', 'b'))).toBe(true);
  expect(failure(folder('empty'))).toBeNull();
  const adapter = folder('adapter', 'adapter_config.json');
  expect(failure(adapter)).toBeNull();
  expect(failure(adapter, 'merged')).toMatchObject({ code: 'name_taken' });
  expect(failure(folder('precious', 'thesis.txt'))).toMatchObject({ code: 'name_taken' });
});

const disk = smallDisk(64);
afterAll(() => disk && execFileSync('umount', [disk]));
it.skipIf(!disk)('a disk without room is refused before anything is computed', () => {
  expect(failure(join(disk!, 'out'))).toMatchObject({ code: 'disk_full' });
  expect(readdirSync(disk!)).toEqual([]);
  execFileSync('mount', ['-o', 'remount,ro', disk!]);
  expect(failure(join(disk!, 'new', 'out'))).toMatchObject({
    message: expect.stringContaining('the disk is read-only') as string,
  });
  expect(failure(join(disk!, 'out'))).toMatchObject({
    message: expect.stringContaining('the disk is read-only') as string,
  });
});

it.each([
  ['~/adapters', join(homedir(), 'adapters')],
  ['~', homedir()],
  ['"/a b/c"', '/a b/c'],
  ["'~/x' ", join(homedir(), 'x')],
  ['/a/~b', '/a/~b'],
  ['~b', join(process.cwd(), '~b')],
])('the path %s is understood', (text, path) => {
  expect(typedPath(text)).toBe(path);
});

it('an export that was written over says so, and the suggested folder is free', () => {
  const home = temporaryFolder();
  const database = openWritable(join(home, 'studio.db'));
  ensureProject(database, 'default');
  const [run, other] = [sampleRun({ name: 'a/b' }), sampleRun({ name: 'c' })];
  for (const each of [run, other]) insertRun(database, each);
  const record = (id: string, runId: string, folder: string, createdAt: string): ExportRecord => ({
    id,
    runId,
    format: 'peft',
    folder,
    files: [],
    certificate: { equal: true, maxLogitDifference: 0, tolerance: 1e-5, tokens: 64 },
    createdAt,
  });
  const folder = join(home, 'exports', 'a_b');
  mkdirSync(folder, { recursive: true });
  insertExport(database, record('1', run.id, folder, '2026-11-25T00:00:01.000Z'));
  insertExport(database, record('2', other.id, '/elsewhere', '2026-11-25T00:00:02.000Z'));
  insertExport(database, record('3', run.id, folder, '2026-11-25T00:00:03.000Z'));
  database.writable.close();
  const core = createCore({ home, project: 'default', mode: 'read' });
  const listed = core.exports.list();
  expect(listed.map(({ id, overwrittenAt }) => [id, overwrittenAt])).toEqual([
    ['3', undefined],
    ['2', undefined],
    ['1', '2026-11-25T00:00:03.000Z'],
  ]);
  // Its own adapter may be written anew; what lies at the place of another is left alone.
  expect(core.exports.suggestFolder(run.id)).toBe(folder);
  expect(core.exports.suggestFolder(other.id)).toBe(join(home, 'exports', 'c'));
  mkdirSync(join(home, 'exports', 'c'));
  expect(core.exports.suggestFolder(other.id)).toBe(join(home, 'exports', 'c-2'));
  core.close();
});

it('every method has an exit, and says what loads it', () => {
  const open = (method: (typeof methods)[number]) =>
    exitsOf(method).flatMap(({ format, problem }) => (problem === null ? [format] : []));
  expect(Object.fromEntries(methods.map((method) => [method, open(method)]))).toEqual({
    full: ['merged', 'gguf'],
    lora: ['peft', 'merged', 'gguf-lora', 'gguf'],
    dora: ['peft', 'merged', 'gguf'],
    hydralora: ['peft', 'lora', 'merged', 'gguf-lora', 'gguf'],
    moelora: ['peft', 'lora', 'merged', 'gguf-lora', 'gguf'],
    idlora: ['peft', 'lora', 'merged', 'gguf-lora', 'gguf'],
  });
  const problemOf = (format: string, family: string) =>
    exitsOf('lora', family).find((exit) => exit.format === format)!.problem;
  expect(problemOf('gguf', 'qwen3')).toBe(null);
  expect(problemOf('gguf', 'granite')).toMatch(/this model is of the family granite/);
  expect(problemOf('peft', 'granite')).toBe(null);
  const loaded = methods.filter((method) => exitSentence(method).includes('that PEFT loads.'));
  expect(loaded).toEqual(['lora', 'dora']);
  for (const method of ['hydralora', 'moelora', 'idlora'] as const)
    expect(exitSentence(method)).toBe(
      'Exports as an adapter folder that PEFT loads with the Python package beside it. Also as plain LoRA or whole model or GGUF adapter for llama.cpp or GGUF model for llama.cpp, with its route frozen.',
    );
  expect(exitSentence('dora')).toBe(
    'Exports as an adapter folder that PEFT loads. Also as whole model or GGUF model for llama.cpp.',
  );
});
