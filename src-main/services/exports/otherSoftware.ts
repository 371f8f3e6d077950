import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { StudioError } from '../../contract/errors.ts';
import type { ModelReference } from '../../engine/protocol.ts';
import { SafetensorsFile } from '../../formats/files/safetensors.ts';
import { cancelled } from '../machine/disk.ts';

const script = fileURLToPath(new URL('../../../resources/python/check.py', import.meta.url));
const versionsSchema = z.record(z.string(), z.string());

/** What other software computes from exported files. */
export interface OtherLogits {
  logits: Float32Array;
  /** For example `torch 2.15.0, transformers 5.24.0, peft 0.21.2`. */
  software: string;
}

/** The Python that is asked: the one that the environment names, or the system's. */
export function pythonProgram(env: Readonly<Record<string, string | undefined>> = process.env): string {
  return env['ID_LORA_PYTHON'] || (process.platform === 'win32' ? 'python' : 'python3');
}

/**
 * Logits of ids that transformers, with PEFT where there is an adapter, compute from a folder. It runs a program of the
 * person's own: only where that was asked for.
 * @throws StudioError runtime_missing where there is no such Python or packages are missing; adapter_invalid where they
 * do not take the files; cancelled
 */
export async function otherLogits(
  { folder, adapterFolder }: Pick<ModelReference, 'folder' | 'adapterFolder'>,
  ids: readonly number[],
  signal: AbortSignal,
): Promise<OtherLogits> {
  const place = mkdtempSync(join(tmpdir(), 'id-lora-check-'));
  try {
    const [request, out] = [join(place, 'request.json'), join(place, 'logits.safetensors')];
    writeFileSync(request, JSON.stringify({ model: folder, adapter: adapterFolder, ids, out }));
    const told = await runPython(['-W', 'ignore', script, request], signal);
    const versions = versionsSchema.parse(JSON.parse(told.trim().split('\n').at(-1)!));
    const file = new SafetensorsFile(out, 'internal');
    try {
      return {
        logits: new Float32Array(file.read('logits').buffer),
        software: Object.entries(versions)
          .map((entry) => entry.join(' '))
          .join(', '),
      };
    } finally {
      file.close();
    }
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

function runPython(args: readonly string[], signal: AbortSignal): Promise<string> {
  const program = pythonProgram();
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      // Everything that it needs lies here: it asks nobody.
      env: { ...process.env, HF_HUB_OFFLINE: '1', PYTHONDONTWRITEBYTECODE: '1' },
      signal,
    });
    let [output, errors] = ['', ''];
    child.stdout.on('data', (part: Buffer) => (output = (output + part.toString()).slice(-20_000)));
    child.stderr.on('data', (part: Buffer) => (errors = (errors + part.toString()).slice(-20_000)));
    child.on('error', (error) =>
      reject(signal.aborted ? cancelled('The check') : missingPython(program, error.message)),
    );
    child.on('close', (code) => {
      if (code === 0) return resolve(output);
      const last = errors.trim().split('\n').at(-1) ?? `it ended with ${code}`;
      reject(
        /^ModuleNotFoundError/.test(last)
          ? missingPython(program, last)
          : new StudioError(
              'adapter_invalid',
              `transformers and PEFT do not take the exported files: ${last.slice(0, 500)}`,
              'The files stand where they were written; the message says what the other software misses.',
            ),
      );
    });
  });
}

function missingPython(program: string, what: string): StudioError {
  return new StudioError(
    'runtime_missing',
    `The check with transformers and PEFT needs a Python that has them, and ${program} cannot do it: ${what}.`,
    'Install torch, transformers, peft and safetensors there, or name another Python with ID_LORA_PYTHON.',
  );
}
