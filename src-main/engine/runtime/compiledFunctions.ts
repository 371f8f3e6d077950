import { createHash } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  realpathSync,
  rmSync,
  statfsSync,
  statSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { StudioError } from '../../contract/errors.ts';

/*
 * What XLA compiles is kept for the next process: compiling takes two to three seconds of a first step, and most of the
 * time until an answer's first token. TensorFlow writes each function as a file that it renames into place, and
 * compares the whole function when it reads one; but a file that it cannot read, or not write, ends the job. So a
 * folder is for one processor and one library, what is no whole file is removed before TensorFlow looks, and there is
 * room on the disk.
 */

/** Bytes that stay in the folder, and what must be free on its disk. */
const mostBytes = 256 * 2 ** 20;
const leastFree = 512 * 2 ** 20;

/** Files that are being written are never older. */
const unfinishedMs = 3_600_000;

/**
 * Asks TensorFlow, before it is loaded, to keep what it compiles for the processor. Nothing is kept where no folder is
 * given (`ID_LORA_STUDIO_COMPILED`), the folder cannot be used, or `TF_XLA_FLAGS` names one already.
 */
export function keepCompiledFunctions(env: NodeJS.ProcessEnv = process.env): void {
  const flags = env['TF_XLA_FLAGS'] ?? '';
  if (flags.includes('tf_xla_persistent_cache_directory')) return;
  const folder = compiledFolder(env);
  // Flags are parted by spaces, and quoted by what a path rarely holds.
  if (!folder || folder.includes("'")) return;
  try {
    mkdirSync(folder, { recursive: true });
    if (!hasRoom(folder)) return;
    tidyCompiled(folder);
  } catch {
    // It cannot be written to, or somebody else is tidying it: everything is compiled, as without.
    return;
  }
  env['TF_XLA_FLAGS'] =
    `${flags} --tf_xla_persistent_cache_directory='${folder}' --tf_xla_persistent_cache_device_types=CPU`.trim();
}

/** Where functions for this processor and library are kept; null: nowhere. */
export function compiledFolder(env: NodeJS.ProcessEnv = process.env): string | null {
  const given = env['ID_LORA_STUDIO_COMPILED'];
  try {
    return given ? join(given, machineKey()) : null;
  } catch {
    // The package is not there: loading it says so.
    return null;
  }
}

function hasRoom(folder: string): boolean {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize >= leastFree;
}

/** Processor and library: compiled code runs only on what it was made for. */
function machineKey(): string {
  const binding = join(
    dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-node-gpu/package.json')),
    'lib/napi-v8/tfjs_binding.node',
  );
  const library = statSync(binding, { throwIfNoEntry: false });
  const facts = [
    process.arch,
    cpus()[0]?.model,
    processorFlags(),
    library && realpathSync(binding),
    library?.mtimeMs,
    library?.size,
  ];
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 16);
}

/** What instructions the processor has, where the system tells. */
function processorFlags(): string {
  try {
    return /^flags\s*:.*$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[0] ?? '';
  } catch {
    return '';
  }
}

/** Removes what is no whole file, and the oldest where there are too many. @param most bytes that may stay */
export function tidyCompiled(folder: string, most = mostBytes): void {
  const files = readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    const found = statSync(path, { throwIfNoEntry: false });
    return found?.isFile()
      ? [{ path, size: found.size, changed: found.mtimeMs, isWhole: name.endsWith('.pb') }]
      : [];
  });
  const kept = files.filter(({ path, changed, isWhole }) => {
    if (isWhole && isWholeMessage(path)) return true;
    if (isWhole || Date.now() - changed > unfinishedMs) rmSync(path, { force: true });
    return false;
  });
  let bytes = kept.reduce((sum, { size }) => sum + size, 0);
  if (bytes <= most) return;
  kept.sort((a, b) => a.changed - b.changed);
  // More than needed: not one file at every start.
  for (const { path, size } of kept) {
    if (bytes <= 0.75 * most) return;
    rmSync(path, { force: true });
    bytes -= size;
  }
}

/**
 * Whether a file holds one protobuf message and nothing else: fields of which each ends where the next begins. A file
 * that was cut, or that a crash left empty or full of zeros, does not.
 */
function isWholeMessage(path: string): boolean {
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    const head = Buffer.alloc(20);
    let at = 0;
    while (at < size) {
      const read = readSync(file, head, 0, head.length, at);
      const tag = varint(head.subarray(0, read), 0);
      if (!tag || tag.value >> 3 === 0) return false;
      const kind = tag.value & 7;
      const value = varint(head.subarray(0, read), tag.end);
      if (kind === 2 && value) at += value.end + value.value;
      else if (kind === 0 && value) at += value.end;
      else return false;
    }
    return size > 0 && at === size;
  } finally {
    closeSync(file);
  }
}

/** A number in protobuf's groups of seven bits; null: it has no end. */
function varint(bytes: Buffer, begin: number): { value: number; end: number } | null {
  let value = 0;
  for (let i = begin; i < bytes.length; i++) {
    value += (bytes[i]! & 127) * 2 ** (7 * (i - begin));
    if (bytes[i]! < 128) return { value, end: i + 1 };
  }
  return null;
}

/** How TensorFlow says that what it kept cannot be read or written. */
const damaged =
  /xla_compile_cache|XlaSerializedCacheEntry|serialized cache|CpuAotCompilationResult|Failed to load AOT|Symbols not found|Read less bytes|Can't parse/i;

/**
 * What a job threw because of what was kept, which is then removed: the next process compiles anew. Null: it is
 * something else.
 */
export function asDamagedCompiled(error: unknown, env: NodeJS.ProcessEnv = process.env): StudioError | null {
  const text = error instanceof Error ? error.message : String(error);
  const folder = /tf_xla_persistent_cache_directory='([^']+)'/.exec(env['TF_XLA_FLAGS'] ?? '')?.[1];
  if (!folder || error instanceof StudioError || !damaged.test(text)) return null;
  forgetCompiled(folder);
  return new StudioError(
    'engine_died',
    `Functions that an earlier run had compiled could not be used (${text.split('\n')[0]!.slice(0, 200)}). They were removed from ${folder}.`,
    'Start it again: they are compiled anew.',
    { cause: error },
  );
}

/** Removes all that was kept in a folder, if it is there; files that another process is writing stay. */
export function forgetCompiled(folder: string): void {
  try {
    tidyCompiled(folder, 0);
  } catch {
    // There is none, or it cannot be written to.
  }
}
