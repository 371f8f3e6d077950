import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { toPlainError } from '../../src-main/contract/errors.ts';
import { createCore } from '../../src-main/core/createCore.ts';
import { tarEnd, tarHeader, tarPadding } from '../../src-main/formats/files/tar.ts';
import { createRandom } from '../../src-main/statistics/random.ts';
import { openReadable, openWritable } from '../../src-main/store/database.ts';
import { insertRun } from '../../src-main/store/runs.ts';
import { neverAborted } from '../support/core.ts';
import { sampleRun } from '../support/sampleRun.ts';

const cases = Number(process.env['ID_LORA_FUZZ_CASES'] ?? 100_000);
/** What a hostile archive may end with: it is no archive, from a newer studio, or larger than the disk. */
const known = ['archive_invalid', 'store_from_future', 'disk_full'];
/** Of a processor. */
const mostMs = 1000;
/** A data folder takes so many archives in before another one is begun. */
const mostTakenIn = 20;

/** In memory where the system has such a place: each case writes files and waits until they are on the disk. */
const root = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'id-lora-hostile-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const temporaryFolder = () => mkdtempSync(join(root, 'x'));

type Entry = [name: string, bytes: Buffer];

/** A good archive as its parts: a project with two runs, one of them with a file. */
function goodEntries(): Entry[] {
  const path = join(temporaryFolder(), 'project.db');
  const { writable } = openWritable(path);
  writable.pragma('journal_mode = DELETE');
  writable.prepare("INSERT INTO projects (name, created_at) VALUES ('x', '2026')").run();
  for (const id of ['one', 'two'])
    insertRun({ readable: writable, writable }, sampleRun({ id, name: id, project: 'x' }));
  writable.exec('VACUUM');
  writable.close();
  return [
    ['project.db', readFileSync(path)],
    ['runs/one/checkpoints/00000003/state.json', Buffer.from('{"step":3}')],
    ['runs/one/checkpoints/00000003/adapter/adapter_config.json', Buffer.from('{"peft_type":"LORA"}')],
  ];
}

const random = createRandom(20261130);
const below = (count: number) => random.integer(count);
const oneOf = <T>(values: readonly T[]): T => values[below(values.length)]!;
const hostileNames = [
  ...['../x', '/etc/passwd', 'runs/../../x', 'runs/one/run.sh', 'C:\\x', '', '.', 'runs//x', 'project.json'],
  ...['runs/one/checkpoints/00000003/../../../../x', 'runs/one/start/adapter/\u0000x', 'a'.repeat(100)],
];
const hostileNumbers = [0, -1, 1, 2 ** 31, 2 ** 53, 1e300, NaN, 0.5];

/** Bytes with a few of them changed, left out or doubled. */
function spoilt(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  if (copy.length === 0) return Buffer.from([below(256)]);
  switch (below(4)) {
    case 0:
      return copy.subarray(0, below(copy.length));
    case 1: {
      const [from, to] = [below(copy.length), below(copy.length)];
      copy.copyWithin(to, from, from + 1 + below(600));
      return copy;
    }
    case 2:
      return Buffer.concat([copy, copy.subarray(0, below(copy.length))]);
    default:
      for (let i = 0; i < 1 + below(8); i++) copy[below(copy.length)] = oneOf([0, 0xff, 0x7f, below(256)]);
      return copy;
  }
}

/** A list of the archive with one value of another kind, or left out. */
function spoiltJson(value: unknown): unknown {
  if (typeof value !== 'object' || value === null)
    return oneOf<unknown>([null, '', [], {}, oneOf(hostileNames), oneOf(hostileNumbers), '__proto__', true]);
  if (below(8) === 0) return oneOf<unknown>([null, [], {}, 3]);
  const keys = Object.keys(value);
  if (keys.length === 0) return { x: 1 };
  const key = oneOf(keys);
  const copy = (Array.isArray(value) ? [...(value as unknown[])] : { ...value }) as Record<string, unknown>;
  if (below(6) === 0) Reflect.deleteProperty(copy, key);
  else copy[key] = spoiltJson(copy[key]);
  return copy;
}

/**
 * An archive with something wrong. Lists and checksums fit what was changed before them, so that what lies behind these
 * checks is reached.
 */
function hostileArchive(good: readonly Entry[]): Buffer {
  const entries = good.map(([name, bytes]): Entry => [name, bytes]);
  const kind = below(8);
  const target = below(entries.length);
  if (kind === 0) entries[target]![1] = spoilt(entries[target]![1]);
  if (kind === 1) entries[target]![0] = oneOf(hostileNames);
  if (kind === 2) entries.splice(target, 1, ...(below(2) ? [] : [entries[target]!, entries[target]!]));
  if (kind === 3) entries.reverse();
  let manifest: unknown = {
    format: 'id-lora-studio project',
    version: 1,
    title: 'x',
    files: entries.map(([name, bytes]) => ({ name, size: bytes.length })),
  };
  if (kind === 4) manifest = spoiltJson(manifest);
  let hashes: unknown = Object.fromEntries(
    entries.map(([name, bytes]) => [name, createHash('sha256').update(bytes).digest('hex')]),
  );
  if (kind === 5) hashes = spoiltJson(hashes);
  const all: Entry[] = [
    ['project.json', Buffer.from(JSON.stringify(manifest))],
    ...entries,
    ['sha256.json', Buffer.from(JSON.stringify(hashes))],
  ];
  const blocks = all.map(([name, bytes]) => {
    const header = tarHeader(name.slice(0, 100), bytes.length);
    if (kind === 6 && below(all.length) === 0) {
      header[below(512)] = below(256);
      // Half of them with a checksum that fits.
      if (below(2)) {
        header.write('        ', 148);
        const sum = header.reduce((total, byte) => total + byte, 0);
        header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
      }
    }
    return Buffer.concat([header, bytes, tarPadding(bytes.length)]);
  });
  const whole = Buffer.concat([...blocks, tarEnd]);
  return kind === 7 ? spoilt(whole) : whole;
}

it(`${cases} hostile archives are refused by name or taken in whole, and leave nothing else`, async () => {
  const good = goodEntries();
  const place = temporaryFolder();
  const file = join(place, 'archive.tar');
  const outcomes = new Map<string, number>();
  let [slowest, taken] = [0, 0];
  const open = (home: string) => createCore({ home, project: 'default', mode: 'write' });
  let home = temporaryFolder();
  let core = open(home);
  const names = () => readdirSync(home).sort();
  let before = names();
  const tell = (outcome: string) => outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  for (let i = 0; i < cases; i++) {
    writeFileSync(file, hostileArchive(good));
    const began = process.cpuUsage();
    const outcome = await core.projects
      .importFrom(file, null, neverAborted)
      .then(() => 'taken in', toPlainError);
    const { user, system } = process.cpuUsage(began);
    slowest = Math.max(slowest, (user + system) / 1000);
    if (typeof outcome === 'string') {
      tell(outcome);
      before = names();
      if (++taken % mostTakenIn > 0) continue;
      // Whole and sound.
      const { readable } = openReadable(join(home, 'studio.db'));
      expect(readable.pragma('integrity_check', { simple: true })).toBe('ok');
      readable.close();
      for (const name of readdirSync(join(home, 'runs'), { recursive: true }) as string[])
        expect(name).toMatch(/^(one|two)(\/|$)/);
      core.close();
      rmSync(home, { recursive: true });
      home = temporaryFolder();
      core = open(home);
      before = names();
      continue;
    }
    expect(known, `case ${i}: ${JSON.stringify(outcome)}`).toContain(outcome.code);
    tell(outcome.message.replace(/"[^"]*"|[\d.]+|\b(project|runs)[\w./]*/g, '…').slice(0, 60));
    expect(names(), `case ${i}`).toEqual(before);
    expect(readdirSync(place)).toEqual(['archive.tar']);
  }
  core.close();
  console.log(`slowest ${slowest.toFixed(0)} ms`);
  for (const [outcome, count] of [...outcomes].sort(([, a], [, b]) => b - a))
    console.log(`${count}  ${outcome}`);
  expect(slowest).toBeLessThan(mostMs);
  expect(outcomes.size).toBeGreaterThan(10);
});
