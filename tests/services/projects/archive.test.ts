import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import type Sqlite from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Core } from '../../../src-main/core/createCore.ts';
import type { Run } from '../../../src-main/contract/entities.ts';
import { tarEnd, tarHeader, tarPadding } from '../../../src-main/formats/files/tar.ts';
import { neverAborted, openCoreOn, openTrainingCore } from '../../support/core.ts';
import { fixtures, recorded } from '../../support/paths.ts';
import { sampleRun } from '../../support/sampleRun.ts';
import { listEvaluations } from '../../../src-main/store/results.ts';
import { keepChat, keptChatSchema, readChat, type KeptChat } from '../../../src-main/store/chats.ts';
import { insertRun } from '../../../src-main/store/runs.ts';
import { toPlainError } from '../../../src-main/contract/errors.ts';
import { openReadable, openWritable } from '../../../src-main/store/database.ts';
import { smallDisk } from '../../support/faults/smallDisk.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

/** One machine with an imported adapter, a score of it and a mix. */
let core: Core;
let home: string;
let run: Run;
let archive: string;

beforeAll(async () => {
  ({ core, home } = await openTrainingCore());
  const folder = join(recorded, 'elsewhere', 'lora-uneven');
  run = await core.adapters.add({ folder, model: 'tiny' }, neverAborted);
  core.runs.annotate(run.id, { notes: 'Look at layer 1.', tags: ['theirs'] });
  await core.evaluations.start(
    {
      model: 'tiny',
      adapter: run.name,
      benchmark: 'perplexity',
      data: { dataset: 'sums' },
      limit: 3,
      seed: 1,
      precision: 'f32',
    },
    neverAborted,
  );
  const [model, dataset] = [core.models.get('tiny'), core.datasets.get('sums')];
  const writable = openWritable(join(home, 'studio.db'));
  insertRun(writable, sampleRun({ id: 'own', name: 'own', modelId: model.id, datasetId: dataset.id }));
  keepChat(writable, 'default', keptChat(model.id, run));
  writable.writable.close();
  core.projects.update('default', { question: 'Does it help?' });
  archive = join(temporaryFolder(), 'project.tar');
  await core.projects.exportTo(null, archive, neverAborted);
});
afterAll(() => core.close());

/** What was said to the run, and to an adapter in a folder of this machine. */
function keptChat(model: string, { id, name }: Run): KeptChat {
  const template = { name: 'plain', system: null } as const;
  const answer = {
    text: '12.',
    tokens: 2,
    end: 'stop',
    tokensPerSecond: 9,
    promptTokens: 4,
    sent: '5 + 7 =',
  } as const;
  const folder = '/home/me/adapters/theirs';
  return keptChatSchema.parse({
    chat: {
      id: 'chat',
      model: { id: model, name: 'tiny' },
      precision: 'f32',
      loadIn8bit: false,
      context: 64,
      columns: [
        { name, runId: id, method: 'lora', template },
        { name: folder, runId: null, method: null, template },
      ],
      isOpen: false,
      isAnswering: false,
      turns: [{ prompt: '5 + 7 =', answers: [answer, answer] }],
    },
    asked: {
      columns: [
        { model, adapter: id },
        { model, adapter: folder },
      ],
    },
  });
}

/** Another machine. */
function elsewhere(): Core & { root: string } {
  const root = temporaryFolder();
  return Object.assign(openCoreOn(root), { root });
}

const nothingStays = (root: string) =>
  expect(readdirSync(root).filter((name) => name.startsWith('archive-'))).toEqual([]);

describe('to another machine', () => {
  it('brings runs with their files, scores, notes and the question, and names what it has not', async () => {
    const other = elsewhere();
    const imported = await other.projects.importFrom(archive, null, neverAborted);
    expect(imported).toMatchObject({
      title: 'default',
      runs: { added: 2, here: 0 },
      evaluations: { added: 1, here: 0 },
      renamed: [],
      absentModels: [{ name: 'tiny', parameters: 46_800 }],
      absentDatasets: [{ name: 'sums', rows: 60 }],
      chat: 'added',
    });
    expect(other.projects.list()).toMatchObject([{ title: 'default', question: 'Does it help?', runs: 2 }]);
    const mine = other.runs.get(run.id);
    expect(mine).toMatchObject({ notes: 'Look at layer 1.', tags: ['theirs'], project: 'default' });
    // No folder of the other machine is told.
    expect(mine.imported?.source).toBe('lora-uneven');
    const files = ['adapter', 'state.json'];
    const folder = join(other.root, 'runs', run.id, 'checkpoints', '00000000');
    expect(readdirSync(folder).sort()).toEqual(files);
    const weights = join('adapter', 'adapter_model.safetensors');
    expect(readFileSync(join(folder, weights))).toEqual(
      readFileSync(join(home, 'runs', run.id, 'checkpoints', '00000000', weights)),
    );
    const database = openReadable(join(other.root, 'studio.db'));
    expect(listEvaluations(database, 'default')).toMatchObject([{ runId: run.id, n: 3 }]);
    const { chat, asked } = readChat(database, 'default')!;
    expect(chat).toMatchObject({
      turns: [{ prompt: '5 + 7 =' }],
      columns: [{ runId: run.id }, { name: 'base (theirs is not here)' }],
    });
    expect(asked.columns[1]!.adapter).toBeNull();
    database.readable.close();
    // Once its model is there, the run is used as before.
    await expect(other.models.use(mine.modelId)).rejects.toMatchObject({ code: 'not_found' });
    await other.models.add({ folder: join(fixtures, 'tiny-llama'), copy: false });
    expect((await other.models.use(mine.modelId)).folder).toBe(join(fixtures, 'tiny-llama'));
    // A dataset that is added later is found by its content when the archive is read once more.
    const sums = await other.datasets.add({ path: join(home, 'sums.jsonl'), name: 'sums', format: 'auto' });
    expect(other.runs.get('own').datasetId).not.toBe(sums.id);
    const again = await other.projects.importFrom(archive, null, neverAborted);
    expect(again).toMatchObject({ runs: { added: 0, here: 2 }, absentModels: [], absentDatasets: [] });
    expect(other.runs.get('own').datasetId).toBe(sums.id);
    nothingStays(other.root);
    other.close();
  });

  it('merges by identity: nothing is doubled, names that clash are told apart, what is here stays', async () => {
    const other = elsewhere();
    await other.models.add({ folder: join(fixtures, 'tiny-llama'), name: 'known', copy: false });
    const writable = openWritable(join(other.root, 'studio.db'));
    insertRun(writable, sampleRun({ id: 'mine', name: 'lora-uneven' }));
    const own = keptChat('m', run);
    keepChat(writable, 'default', { ...own, chat: { ...own.chat, id: 'mine' } });
    writable.writable.close();
    const imported = await other.projects.importFrom(archive, 'default', neverAborted);
    expect(imported).toMatchObject({
      title: 'default',
      // A project has one chat, and keeps its own.
      chat: 'other',
      runs: { added: 2, here: 0 },
      renamed: [{ kind: 'run', from: 'lora-uneven', to: 'lora-uneven-2' }],
      absentModels: [],
    });
    // It is tied to the model of the same content, whatever that is called here.
    expect(other.runs.get('lora-uneven-2').modelId).toBe(other.models.get('known').id);
    other.runs.annotate('lora-uneven-2', { notes: 'Mine now.' });
    const again = await other.projects.importFrom(archive, null, neverAborted);
    expect(again).toMatchObject({
      title: 'default',
      runs: { added: 0, here: 2 },
      evaluations: { added: 0, here: 1 },
      renamed: [],
    });
    expect(other.runs.list()).toHaveLength(3);
    expect(other.runs.get(run.id).notes).toBe('Mine now.');
    other.close();
  });
});

/** An archive with other entries: each a name with its bytes, or a header as it is. */
function archiveOf(
  entries: readonly (readonly [string, Buffer] | Buffer)[],
  path = join(temporaryFolder(), 'bad.tar'),
): string {
  const parts = entries.flatMap((entry) =>
    Buffer.isBuffer(entry)
      ? [entry]
      : [tarHeader(entry[0], entry[1].length), entry[1], tarPadding(entry[1].length)],
  );
  writeFileSync(path, Buffer.concat([...parts, tarEnd]));
  return path;
}

const manifestOf = (files: readonly (readonly [string, number])[]): [string, Buffer] => [
  'project.json',
  Buffer.from(
    JSON.stringify({
      format: 'id-lora-studio project',
      version: 1,
      title: 'x',
      files: files.map(([name, size]) => ({ name, size })),
    }),
  ),
];

/** A header with other bytes at a place, and a checksum that fits. */
function header(name: string, at: number, bytes: string): Buffer {
  const block = tarHeader(name, 0);
  block.write(bytes, at, 'latin1');
  block.write('        ', 148);
  block.write(
    `${block
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
  );
  return block;
}

function withDatabase(change: (database: Sqlite.Database) => void): string {
  const path = join(temporaryFolder(), 'project.db');
  const { writable } = openWritable(path);
  writable.pragma('journal_mode = DELETE');
  writable.prepare("INSERT INTO projects (name, created_at) VALUES ('x', '2026')").run();
  change(writable);
  writable.close();
  const bytes = readFileSync(path);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return archiveOf([
    manifestOf([['project.db', bytes.length]]),
    ['project.db', bytes],
    ['sha256.json', Buffer.from(JSON.stringify({ 'project.db': sha256 }))],
  ]);
}

const changedCopy = (change: (path: string) => void) => () => {
  const path = join(temporaryFolder(), 'changed.tar');
  writeFileSync(path, readFileSync(archive));
  change(path);
  return path;
};

describe('what is no archive of a project is refused, and nothing of it stays', () => {
  const outside = join(temporaryFolder(), 'outside');
  it.each<[string, () => string, RegExp]>([
    ['a name that leads out', () => archiveOf([header('x', 0, '../../outside')]), /leads out of its folder/],
    ['an absolute name', () => archiveOf([header('x', 0, outside.slice(0, 90))]), /leads out of its folder/],
    [
      'a list that names a file elsewhere',
      () =>
        archiveOf([
          manifestOf([
            ['project.db', 0],
            ['../models/x', 3],
          ]),
        ]),
      /which is no file of a project/,
    ],
    [
      'a program in a run’s folder',
      () =>
        archiveOf([
          manifestOf([
            ['project.db', 0],
            ['runs/abc/run.sh', 3],
          ]),
        ]),
      /run.sh", which is no file of a project/,
    ],
    [
      'a symbolic link',
      () => archiveOf([manifestOf([['project.db', 0]]), header('project.db', 156, '2')]),
      /holds a symbolic link/,
    ],
    ['a link', () => archiveOf([header('project.json', 156, '1')]), /holds a link/],
    [
      'more bytes than the file has',
      () => archiveOf([manifestOf([['project.db', 10 ** 12]])]),
      /declares \d+ bytes and has \d+: it is cut off/,
    ],
    [
      'a compressed one, which may be of any size',
      () => {
        const path = join(temporaryFolder(), 'x.tar.gz');
        writeFileSync(path, gzipSync(Buffer.alloc(50_000_000)));
        return path;
      },
      /is damaged, or no archive/,
    ],
    [
      'one that is cut off',
      changedCopy((path) => truncateSync(path, readFileSync(path).length - 2000)),
      /cut off/,
    ],
    [
      'one of which the last list is missing',
      () => {
        const bytes = readFileSync(archive);
        const at = bytes.indexOf('sha256.json\0');
        const path = join(temporaryFolder(), 'x.tar');
        writeFileSync(path, Buffer.concat([bytes.subarray(0, at), tarEnd]));
        return path;
      },
      /hashes is missing/,
    ],
    [
      'one that was changed',
      changedCopy((path) => {
        const bytes = readFileSync(path);
        const at = bytes.indexOf('Look at layer 1.');
        bytes[at] = 'B'.charCodeAt(0);
        writeFileSync(path, bytes);
      }),
      /has another content in project.db than its hash says/,
    ],
    ['one that goes on', changedCopy((path) => appendFileSync(path, 'more')), /goes on behind its end/],
    [
      'one whose database runs something',
      () =>
        withDatabase((database) =>
          database.exec('CREATE TRIGGER t AFTER INSERT ON runs BEGIN DELETE FROM runs; END'),
        ),
      /has other tables than the studio makes/,
    ],
    [
      'one with a row that is none',
      () =>
        withDatabase((database) =>
          database.exec(
            "INSERT INTO runs (id, project, name, state, created_at, entity) VALUES ('../../x', 'x', 'x', 'done', '2026', '{}')",
          ),
        ),
      /row that is none/,
    ],
    [
      'one whose run has an id that leads elsewhere',
      () =>
        withDatabase((database) =>
          insertRun({ readable: database, writable: database }, sampleRun({ id: '../../x', project: 'x' })),
        ),
      /row that is none/,
    ],
  ])('%s', async (_, make, message) => {
    const other = elsewhere();
    const before = readdirSync(other.root);
    await expect(other.projects.importFrom(make(), null, neverAborted)).rejects.toMatchObject({
      code: 'archive_invalid',
      message: expect.stringMatching(message) as string,
    });
    expect(readdirSync(other.root)).toEqual(before);
    expect(existsSync(outside)).toBe(false);
    expect(other.projects.list().map(({ title }) => title)).toEqual(['default']);
    other.close();
  });

  it('one of a newer studio', async () => {
    const other = elsewhere();
    const newer = withDatabase((database) => database.pragma('user_version = 9999'));
    await expect(other.projects.importFrom(newer, null, neverAborted)).rejects.toMatchObject({
      code: 'store_from_future',
    });
    other.close();
  });
});

it('both ways end when they are cancelled, and leave nothing', async () => {
  const other = elsewhere();
  await expect(other.projects.importFrom(archive, null, AbortSignal.abort())).rejects.toMatchObject({
    code: 'cancelled',
  });
  nothingStays(other.root);
  other.close();
  const folder = temporaryFolder();
  await expect(
    core.projects.exportTo(null, join(folder, 'x.tar'), AbortSignal.abort()),
  ).rejects.toMatchObject({
    code: 'cancelled',
  });
  expect(readdirSync(folder)).toEqual([]);
});

it('an existing file is not written over', async () => {
  await expect(core.projects.exportTo(null, archive, neverAborted)).rejects.toMatchObject({
    code: 'name_taken',
  });
});

const disk = smallDisk(64);
afterAll(() => disk && execFileSync('umount', [disk]));
it.skipIf(!disk)('a full disk and a read-only one are said, and nothing stays', async () => {
  const failure = (name: string) =>
    core.projects.exportTo(null, join(disk!, name), neverAborted).catch(toPlainError);
  expect(await failure('x.tar')).toMatchObject({ code: 'disk_full' });
  expect(readdirSync(disk!)).toEqual([]);
  execFileSync('mount', ['-o', 'remount,ro', disk!]);
  expect(await failure('y.tar')).toMatchObject({ message: expect.stringMatching(/read-only/) as string });
});
