import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import {
  asDamagedCompiled,
  compiledFolder,
  keepCompiledFunctions,
  tidyCompiled,
} from '../../../src-main/engine/runtime/compiledFunctions.ts';

// With a space: TensorFlow parts its flags by them.
const root = mkdtempSync(join(tmpdir(), 'id-lora compiled '));
afterAll(() => rmSync(root, { recursive: true }));

/** A protobuf message with fields of bytes and a number. */
const message = (size: number) =>
  Buffer.concat([
    Buffer.from([0x0a, 0x80 | (size & 127), size >> 7]),
    Buffer.alloc(size, 7),
    Buffer.from([0x10, 5]),
  ]);

it('keeps whole files, removes others, and of too many the oldest', () => {
  const folder = mkdtempSync(join(root, 'tidy-'));
  const write = (name: string, bytes: Buffer, ageSeconds = 0) => {
    writeFileSync(join(folder, name), bytes);
    const changed = Date.now() / 1000 - ageSeconds;
    utimesSync(join(folder, name), changed, changed);
  };
  write('whole.pb', message(500));
  write('cut.pb', message(500).subarray(0, 400));
  write('longer.pb', Buffer.concat([message(500), Buffer.from([9])]));
  write('empty.pb', Buffer.alloc(0));
  write('zeros.pb', Buffer.alloc(600));
  write('being-written.tmp', message(10).subarray(0, 3));
  write('left-behind.tmp', message(10).subarray(0, 3), 4000);
  mkdirSync(join(folder, 'folder'));
  tidyCompiled(folder);
  expect(readdirSync(folder).sort()).toEqual(['being-written.tmp', 'folder', 'whole.pb']);

  for (let age = 1; age <= 5; age++) write(`aged-${age}.pb`, message(1000), age * 60);
  tidyCompiled(folder, 4000);
  expect(
    readdirSync(folder)
      .filter((name) => name.endsWith('.pb'))
      .sort(),
  ).toEqual(['aged-1.pb', 'aged-2.pb', 'whole.pb']);
});

it('leaves flags alone where a folder is named already, none is given, or it cannot be made', () => {
  const file = join(root, 'file');
  writeFileSync(file, '');
  for (const env of [
    {},
    { ID_LORA_STUDIO_COMPILED: '' },
    { ID_LORA_STUDIO_COMPILED: file },
    { ID_LORA_STUDIO_COMPILED: join(root, "a ' quote") },
    { ID_LORA_STUDIO_COMPILED: root, TF_XLA_FLAGS: '--tf_xla_persistent_cache_directory=/elsewhere' },
  ] as NodeJS.ProcessEnv[]) {
    const before = env['TF_XLA_FLAGS'];
    keepCompiledFunctions(env);
    expect(env['TF_XLA_FLAGS']).toBe(before);
  }
  const env: NodeJS.ProcessEnv = { ID_LORA_STUDIO_COMPILED: root, TF_XLA_FLAGS: '--tf_xla_cpu_global_jit' };
  keepCompiledFunctions(env);
  expect(env['TF_XLA_FLAGS']).toMatch(/^--tf_xla_cpu_global_jit --tf_xla_persistent_cache_directory='.*'/);
});

it('what one process compiled the next one reads; what cannot be read is said, removed and compiled anew', () => {
  const given = join(root, 'real');
  const run = () =>
    JSON.parse(
      execFileSync(process.execPath, [fileURLToPath(new URL('./runCompiled.ts', import.meta.url))], {
        env: {
          ...process.env,
          TF_XLA_FLAGS: '',
          TF_CPP_MIN_LOG_LEVEL: '3',
          ID_LORA_STUDIO_COMPILED: given,
        },
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }),
    ) as { y?: number[]; code?: string; message?: string };
  const expected = { y: [0, 1, 2, 3].map((x) => expect.closeTo(Math.exp(2 * x), 3) as number) };
  expect(run()).toEqual(expected);
  const folder = compiledFolder({ ID_LORA_STUDIO_COMPILED: given })!;
  const [name] = readdirSync(folder);
  const file = join(folder, name!);
  const kept = readFileSync(file);
  expect(run()).toEqual(expected);
  expect(readdirSync(folder)).toEqual([name]);

  // Cut short: removed before TensorFlow sees it.
  truncateSync(file, kept.length - 100);
  expect(run()).toEqual(expected);
  expect(readdirSync(folder)).toEqual([name]);

  // Of the right length, but other bytes.
  const begin = Math.floor(kept.length / 2);
  writeFileSync(
    file,
    Buffer.concat([kept.subarray(0, begin), Buffer.alloc(400, 0x5a), kept.subarray(begin + 400)]),
  );
  const told = run();
  expect(told.code).toBe('engine_died');
  expect(told.message).toContain(`They were removed from ${folder}.`);
  expect(readdirSync(folder)).toEqual([]);
  expect(run()).toEqual(expected);
});

it('tells nothing of errors that have other causes, nor where nothing is kept', () => {
  const flags = { TF_XLA_FLAGS: `--tf_xla_persistent_cache_directory='${root}/none'` };
  expect(asDamagedCompiled(new Error('shapes do not match'), flags)).toBeNull();
  expect(asDamagedCompiled(new Error('Read less bytes than requested'), {})).toBeNull();
  expect(asDamagedCompiled(new Error('Read less bytes than requested'), flags)?.code).toBe('engine_died');
});
