import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { z } from 'zod';
import { StudioError } from '../../contract/errors.ts';
import { cancelled } from '../machine/disk.ts';

/** What llama.cpp is to answer, each prompt by its likeliest tokens. */
export interface LlamaQuestion {
  /** GGUF files; `lora` null: the model alone. */
  model: string;
  lora: string | null;
  prompts: readonly (readonly number[])[];
  maxTokens: number;
  /** An answer ends with the first of them. */
  endIds: readonly number[];
  /** Tokens of a prompt with its answer at most. */
  context: number;
}

export interface LlamaAnswers {
  /** With its version. */
  software: string;
  answers: number[][];
}

const completionSchema = z.object({ tokens: z.array(z.number().int()) });
const propertiesSchema = z.object({ build_info: z.string().optional() });

/** Until a model is loaded. */
const pollMs = 100;
/** A model of many gigabytes on a slow disk is loaded in less. */
const loadingMs = 10 * 60 * 1000;
/** So long an answer that fails waits for the end of the program, which says why. */
const lastWordsMs = 1000;

/**
 * Answers of llama.cpp's `llama-server`, which runs for as long as they take, heard on this machine alone.
 * @param patienceMs until it has loaded the files
 * @returns null where there is no such program
 * @throws StudioError adapter_invalid where it does not take the files; cancelled
 */
export async function serverAnswers(
  program: string,
  question: LlamaQuestion,
  signal: AbortSignal,
  patienceMs = loadingMs,
): Promise<LlamaAnswers | null> {
  const [port, key] = [await freePort(), randomBytes(16).toString('hex')];
  const f32 = ['--cache-type-k', 'f32', '--cache-type-v', 'f32'];
  const child = spawn(
    program,
    [
      ...['--model', question.model, ...(question.lora === null ? [] : ['--lora', question.lora])],
      ...['--host', '127.0.0.1', '--port', `${port}`],
      ...['--ctx-size', `${question.context}`, '--parallel', '1', '--gpu-layers', '0', ...f32],
    ],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
      // Arguments are seen by everyone on the machine.
      env: { ...process.env, LLAMA_API_KEY: key },
      // A group of its own: where a script starts the program, both must end.
      detached: process.platform !== 'win32',
    },
  );
  const kill = () => killGroup(child);
  signal.addEventListener('abort', kill, { once: true });
  process.once('exit', kill);
  if (signal.aborted) kill();
  const { ended, said } = listenTo(child);
  const over = new AbortController();
  try {
    const ask = async (path: string, body?: unknown): Promise<unknown> => {
      const { status, text } = await requestOf({ port, key, path, body, signal: over.signal });
      if (status !== 200) throw new Error(`${path} answers with ${status} ${text.slice(0, 300)}`.trim());
      try {
        return JSON.parse(text);
      } catch {
        throw new Error(`${path} answers with what is no JSON: ${JSON.stringify(text.slice(0, 100))}`);
      }
    };
    const answering = answersOf(ask, question, { over: over.signal, patienceMs });
    const found = await Promise.race([answering, ended]);
    if ('answers' in found) return found;
    if (found.error?.code === 'ENOENT') return null;
    throw refused(program, found.text);
  } catch (error) {
    if (signal.aborted) throw cancelled('The check');
    if (error instanceof StudioError) throw error;
    // A connection that breaks is the first sign of a program that ends.
    const end = await Promise.race([ended, wait(lastWordsMs, null)]);
    const why = end ? [end.text] : [(error as Error).message, said()].filter((part) => part !== '');
    throw refused(program, why.join('; '));
  } finally {
    signal.removeEventListener('abort', kill);
    process.removeListener('exit', kill);
    over.abort();
    kill();
  }
}

/**
 * One request by a connection of its own, for as long as it takes: `fetch` gives an answer up after five minutes, which
 * large models on a processor need, and keeps connections that the server may have ended.
 */
function requestOf(asked: {
  port: number;
  key: string;
  path: string;
  body: unknown;
  signal: AbortSignal;
}): Promise<{ status: number; text: string }> {
  const { port, key, path, body, signal } = asked;
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
    const method = body === undefined ? 'GET' : 'POST';
    // An import would read all exports at the studio's start, and one of http's loads all of fetch: 85 ms.
    const asking = process
      .getBuiltinModule('node:http')
      .request({ host: '127.0.0.1', port, path, method, headers, signal, agent: false }, (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('error', reject);
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString() }),
        );
      });
    asking.on('error', reject);
    asking.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function refused(program: string, why: string): StudioError {
  return new StudioError(
    'adapter_invalid',
    `${program} does not take the exported files: ${why}`,
    'The files stand where they were written; the message says what llama.cpp misses.',
  );
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    if (process.platform === 'win32') child.kill('SIGKILL');
    else process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

async function answersOf(
  ask: (path: string, body?: unknown) => Promise<unknown>,
  { prompts, maxTokens, endIds }: LlamaQuestion,
  { over, patienceMs }: { over: AbortSignal; patienceMs: number },
): Promise<LlamaAnswers> {
  // It refuses connections before it listens, and answers with 503 while it loads.
  const late = wait(patienceMs, 'late' as const, { signal: over });
  for (;;) {
    const health = ask('/health').then(
      () => 'ready' as const,
      () => 'loading' as const,
    );
    const found = await Promise.race([health, late]);
    if (found === 'late') throw new Error(`it had not loaded them after ${patienceMs / 1000} s`);
    if (found === 'ready') break;
    await wait(pollMs, undefined, { signal: over });
  }
  const build = propertiesSchema.safeParse(await ask('/props')).data?.build_info;
  const answers: number[][] = [];
  for (const prompt of prompts) {
    const answer = completionSchema.safeParse(
      await ask('/completion', {
        prompt,
        n_predict: maxTokens,
        temperature: 0,
        top_k: 1,
        samplers: ['top_k'],
        cache_prompt: false,
        return_tokens: true,
      }),
    );
    if (!answer.success) throw new Error('/completion answers without tokens');
    answers.push(upToEnd(answer.data.tokens, endIds));
  }
  return { software: `llama.cpp ${build ?? 'of an unknown version'}`, answers };
}

/** Tokens up to the first that ends an answer, with it. */
export function upToEnd(ids: readonly number[], endIds: readonly number[]): number[] {
  const end = ids.findIndex((id) => endIds.includes(id));
  return end < 0 ? [...ids] : ids.slice(0, end + 1);
}

interface Ended {
  /** It could not be started. */
  error: NodeJS.ErrnoException | null;
  /** The last it said. */
  text: string;
}

/** @returns when it has ended, and what it has said so far of errors, empty where nothing */
function listenTo(child: ChildProcess): { ended: Promise<Ended>; said(): string } {
  let text = '';
  const lines = () => text.trim().split('\n');
  const said = () => (lines().findLast((line) => /error|failed/i.test(line)) ?? '').slice(0, 500);
  child.stderr?.on('data', (part: Buffer) => (text = (text + part.toString()).slice(-20_000)));
  const ended = new Promise<Ended>((resolve) => {
    child.on('error', (error) => resolve({ error, text: error.message }));
    child.on('close', (code, killedBy) => {
      const last = said() || lines().at(-1)!.slice(0, 500);
      resolve({ error: null, text: last || `it ended with ${code ?? killedBy}` });
    });
  });
  return { ended, said };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
