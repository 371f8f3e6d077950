import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  createReadStream,
  createWriteStream,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setImmediate } from 'node:timers/promises';
import { createGzip } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRandom } from '../../src-main/statistics/random.ts';
import { projectFolder } from '../support/paths.ts';

/* Files of a gigabyte and more, each imported by a process of its own: its time, and the most memory it ever had. */
const rows = 1_000_000;
const folder = mkdtempSync(join(tmpdir(), 'big-imports-'));
const words = 'alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mü'.split(' ');

/** Texts of a length, of which rows are made: to draw every word of two gigabytes would take longer than to import. */
function textsOf(length: number): string[] {
  const random = createRandom(length);
  return Array.from({ length: 1000 }, () => {
    let said = '';
    while (said.length < length) said += `${words[random.integer(words.length)]} `;
    return said;
  });
}
const asked = textsOf(300);
const answered = textsOf(600);

/** A row of about a thousand bytes, like no other. */
function rowOf(i: number): string {
  const instruction = `Question ${i}: ${asked[i % 1000]}`;
  return JSON.stringify({
    id: i,
    instruction,
    input: '',
    output: answered[(7 * i) % 1000],
    meta: { n: null },
  });
}

async function write(name: string, count: number, parts: { begin: string; between: string; end: string }) {
  const path = join(folder, name);
  const fd = openSync(path, 'w');
  let text = parts.begin;
  for (let i = 0; i < count; i++) {
    text += `${i === 0 ? '' : parts.between}${rowOf(i)}`;
    if (text.length < 4_000_000) continue;
    writeSync(fd, text);
    text = '';
    // The test's own timeout must be able to run out.
    await setImmediate();
  }
  writeSync(fd, text + parts.end);
  closeSync(fd);
  return path;
}

/** Imports in a process of its own. */
async function imported(path: string, options: { inPlace?: boolean } = {}) {
  const script = join(folder, 'import.ts');
  writeFileSync(
    script,
    `import { importDataset } from ${JSON.stringify(join(projectFolder, 'src-main/data/importDataset.ts'))};
     import { readRows } from ${JSON.stringify(join(projectFolder, 'src-main/data/readRows.ts'))};
     const [path, folder, inPlace] = process.argv.slice(2);
     const begin = performance.now();
     const { imported } = await importDataset({ paths: [path], format: 'auto', folder, inPlace: inPlace === 'true' });
     const seconds = (performance.now() - begin) / 1000;
     const pages = [];
     for (const offset of [0, 0.5, 0.99]) {
       const from = performance.now();
       let read = 0;
       for await (const _ of readRows(folder, { name: 'big', ...imported }, { offset: Math.floor(offset * imported.rows), limit: 50 })) read++;
       pages.push(read === 50 ? performance.now() - from : Infinity);
     }
     const maxMegabytes = process.resourceUsage().maxRSS / 1024;
     console.log(JSON.stringify({ rows: imported.rows, unused: imported.unused.rows, seconds, maxMegabytes, pages }));`,
  );
  const library = mkdtempSync(join(folder, 'library-'));
  const child = spawn(process.execPath, [script, path, library, String(options.inPlace ?? false)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part));
  await once(child, 'close');
  rmSync(library, { recursive: true });
  const result = JSON.parse(text) as {
    rows: number;
    unused: number;
    seconds: number;
    maxMegabytes: number;
    pages: number[];
  };
  const size = (statSync(path).size / 1e9).toFixed(2);
  console.log(
    `${path.split('/').at(-1)} (${size} GB): ${result.rows} rows in ${result.seconds.toFixed(1)} s, at most ${result.maxMegabytes.toFixed(0)} MB; a page in ${result.pages.map((ms) => ms.toFixed(1)).join(', ')} ms`,
  );
  return result;
}

const lines = { begin: '', between: '\n', end: '\n' };
const list = { begin: '[\n', between: ',\n  ', end: '\n]\n' };

describe('a large file is imported within its time and memory', () => {
  let path: string;
  beforeAll(async () => {
    path = await write('rows.jsonl', rows, lines);
  }, 300_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it(
    'a million rows of a gigabyte in JSON Lines in three minutes and 500 MB',
    { timeout: 600_000 },
    async () => {
      const result = await imported(path);
      expect(result).toMatchObject({ rows, unused: 0 });
      expect(result.seconds).toBeLessThan(180);
      expect(result.maxMegabytes).toBeLessThan(500);
      for (const ms of result.pages) expect(ms).toBeLessThan(200);
    },
  );

  it('the same where it lies', { timeout: 600_000 }, async () => {
    const result = await imported(path, { inPlace: true });
    expect(result.rows).toBe(rows);
    expect(result.seconds).toBeLessThan(180);
    expect(result.maxMegabytes).toBeLessThan(500);
  });

  it('the same packed', { timeout: 600_000 }, async () => {
    const packed = `${path}.gz`;
    await pipeline(createReadStream(path), createGzip({ level: 1 }), createWriteStream(packed));
    const result = await imported(packed);
    rmSync(packed);
    expect(result.rows).toBe(rows);
    expect(result.maxMegabytes).toBeLessThan(500);
  });

  it('a list of two gigabytes in 500 MB', { timeout: 900_000 }, async () => {
    rmSync(path);
    const large = await write('rows.json', 2 * rows, list);
    const result = await imported(large);
    expect(result).toMatchObject({ rows: 2 * rows, unused: 0 });
    expect(result.maxMegabytes).toBeLessThan(500);
    rmSync(large);
  });

  it('a list of a gigabyte within an object, all on one line', { timeout: 900_000 }, async () => {
    const large = await write('wrapped.json', rows, {
      begin: '{"version":1,"data":[',
      between: ',',
      end: ']}',
    });
    const result = await imported(large);
    expect(result).toMatchObject({ rows, unused: 0 });
    expect(result.maxMegabytes).toBeLessThan(500);
    rmSync(large);
  });
});
