import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { StudioError } from '../../contract/errors.ts';
import type { ModelReference } from '../../engine/protocol.ts';
import { SafetensorsFile } from '../../formats/files/safetensors.ts';
import { cancelled } from '../machine/disk.ts';
import { serverAnswers, type LlamaAnswers, type LlamaQuestion } from './llamaServer.ts';

const scripts = fileURLToPath(new URL('../../../resources/python/', import.meta.url));
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
    const asked = { signal, packages: transformersAndPeft, schema: versionsSchema };
    const versions = await runPython([join(scripts, 'check.py'), request], asked);
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

/** Packages of Python that are asked. */
interface AskedPackages {
  name: string;
  modules: readonly string[];
  /** How to get them. */
  remedy: string;
}

const transformersAndPeft: AskedPackages = {
  name: 'transformers and PEFT',
  modules: ['torch', 'transformers', 'peft', 'safetensors'],
  remedy:
    'Install torch, transformers, peft and safetensors there, or name another Python with ID_LORA_PYTHON.',
};

const llamaCpp: AskedPackages = {
  name: 'llama.cpp',
  modules: ['llama_cpp'],
  remedy:
    'Install llama.cpp, so that llama-server is on the PATH (or name the program with ID_LORA_LLAMA_SERVER), or the package llama-cpp-python in that Python (or name another one with ID_LORA_PYTHON).',
};

const answersSchema = z.object({ software: z.string(), answers: z.array(z.array(z.number().int())) });

/**
 * Answers of llama.cpp from GGUF files: of the person's own `llama-server`, or of the Python package llama_cpp.
 * @throws StudioError runtime_missing where there is neither; adapter_invalid where they do not take the files;
 * cancelled
 */
export async function llamaAnswers(question: LlamaQuestion, signal: AbortSignal): Promise<LlamaAnswers> {
  const named = process.env['ID_LORA_LLAMA_SERVER'];
  const answers = await serverAnswers(named || 'llama-server', question, signal);
  if (answers) return answers;
  if (named) throw missing({ ...llamaCpp, what: `there is no program ${named}` });
  const place = mkdtempSync(join(tmpdir(), 'id-lora-check-'));
  try {
    const request = join(place, 'request.json');
    writeFileSync(request, JSON.stringify(question));
    const asked = { signal, packages: llamaCpp, schema: answersSchema };
    return await runPython([join(scripts, 'check_llama.py'), request], asked);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

/** Which of the modules that are its arguments a Python has not; none of them is loaded. */
const absentModules =
  'import importlib.util, json, sys; print(json.dumps([name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]))';

/**
 * Makes sure that there is software to ask, without asking it.
 * @param isLlama llama.cpp, for GGUF files; else transformers and PEFT
 * @throws StudioError runtime_missing; cancelled
 */
export async function requireSoftware(isLlama: boolean, signal: AbortSignal): Promise<void> {
  if (isLlama) {
    const named = process.env['ID_LORA_LLAMA_SERVER'];
    if (isProgram(named || 'llama-server')) return;
    if (named) throw missing({ ...llamaCpp, what: `there is no program ${named}` });
  }
  const packages = isLlama ? llamaCpp : transformersAndPeft;
  const asked = { signal, packages, schema: z.array(z.string()) };
  const absent = await runPython(['-c', absentModules, ...packages.modules], asked);
  if (absent.length > 0)
    throw missing({ ...packages, what: `${pythonProgram()} has no ${absent.join(', ')}` });
}

/** Whether the system finds a program of this name or path. */
function isProgram(name: string): boolean {
  if (/[\\/]/.test(name)) return existsSync(name);
  const endings = process.platform === 'win32' ? ['', '.exe'] : [''];
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.some((folder) => endings.some((ending) => existsSync(join(folder, `${name}${ending}`))));
}

/** @returns what Python says in its last line */
function runPython<T>(
  args: readonly string[],
  { signal, packages: asked, schema }: { signal: AbortSignal; packages: AskedPackages; schema: z.ZodType<T> },
): Promise<T> {
  const program = pythonProgram();
  return new Promise((resolve, reject) => {
    const child = spawn(program, ['-W', 'ignore', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      // Everything that it needs lies here: it asks nobody.
      env: { ...process.env, HF_HUB_OFFLINE: '1', PYTHONDONTWRITEBYTECODE: '1' },
      signal,
    });
    let [output, errors] = ['', ''];
    child.stdout.on('data', (part: Buffer) => (output = (output + part.toString()).slice(-20_000)));
    child.stderr.on('data', (part: Buffer) => (errors = (errors + part.toString()).slice(-20_000)));
    child.on('error', (error) =>
      reject(
        signal.aborted
          ? cancelled('The check')
          : missing({ ...asked, what: `${program} cannot do it: ${error.message}` }),
      ),
    );
    child.on('close', (code) => {
      const last = errors.trim().split('\n').at(-1) || `it ended with ${code}`;
      const refused = (why: string) =>
        new StudioError(
          'adapter_invalid',
          `${asked.name} ${asked === llamaCpp ? 'does' : 'do'} not take the exported files: ${why.slice(0, 500)}`,
          'The files stand where they were written; the message says what the other software misses.',
        );
      if (code !== 0)
        return reject(
          /^ModuleNotFoundError/.test(last)
            ? missing({ ...asked, what: `${program} cannot do it: ${last}` })
            : refused(last),
        );
      const said = output.trim().split('\n').at(-1)!;
      try {
        resolve(schema.parse(JSON.parse(said)));
      } catch {
        reject(refused(`its last line is ${JSON.stringify(said.slice(0, 200))}, and no answer`));
      }
    });
  });
}

function missing({ name, remedy, what }: Omit<AskedPackages, 'modules'> & { what: string }): StudioError {
  const needed = name === llamaCpp.name ? 'llama-server or a Python that has it' : 'a Python that has them';
  return new StudioError('runtime_missing', `The check with ${name} needs ${needed}, and ${what}.`, remedy);
}
