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
  /** An answer ends before the first of them. */
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

/**
 * Answers of llama.cpp's `llama-server`, which runs for as long as they take, heard on this machine alone.
 * @returns null where there is no such program
 * @throws StudioError adapter_invalid where it does not take the files; cancelled
 */
export async function serverAnswers(
  program: string,
  question: LlamaQuestion,
  signal: AbortSignal,
): Promise<LlamaAnswers | null> {
  const [port, key] = [await freePort(), randomBytes(16).toString('hex')];
  const f32 = ['--cache-type-k', 'f32', '--cache-type-v', 'f32'];
  const child = spawn(
    program,
    [
      ...['--model', question.model, ...(question.lora === null ? [] : ['--lora', question.lora])],
      ...['--host', '127.0.0.1', '--port', `${port}`, '--api-key', key],
      ...['--ctx-size', `${question.context}`, '--parallel', '1', '--gpu-layers', '0', ...f32],
    ],
    { stdio: ['ignore', 'ignore', 'pipe'], signal, killSignal: 'SIGKILL' },
  );
  const ended = endOf(child);
  try {
    const ask = async (path: string, body?: unknown): Promise<unknown> => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, {
        method: body === undefined ? 'GET' : 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal,
      });
      if (!response.ok) throw new Error(`${path} answers with ${response.status}`);
      return response.json();
    };
    const answering = answersOf(ask, question);
    const found = await Promise.race([answering, ended]);
    if ('answers' in found) return found;
    answering.catch(() => undefined);
    if (signal.aborted) throw cancelled('The check');
    if (found.error?.code === 'ENOENT') return null;
    throw new StudioError(
      'adapter_invalid',
      `${program} does not take the exported files: ${found.text}`,
      'The files stand where they were written; the message says what llama.cpp misses.',
    );
  } catch (error) {
    if (signal.aborted) throw cancelled('The check');
    throw error;
  } finally {
    child.kill('SIGKILL');
  }
}

async function answersOf(
  ask: (path: string, body?: unknown) => Promise<unknown>,
  { prompts, maxTokens, endIds }: LlamaQuestion,
): Promise<LlamaAnswers> {
  // It refuses connections before it listens, and answers with 503 while it loads.
  for (;;) {
    const isReady = await ask('/health').then(
      () => true,
      () => false,
    );
    if (isReady) break;
    await wait(pollMs);
  }
  const { build_info: build } = propertiesSchema.parse(await ask('/props'));
  const answers: number[][] = [];
  for (const prompt of prompts) {
    const { tokens } = completionSchema.parse(
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
    const end = tokens.findIndex((id) => endIds.includes(id));
    answers.push(end < 0 ? tokens : tokens.slice(0, end));
  }
  return { software: `llama.cpp ${build ?? 'of an unknown version'}`, answers };
}

interface Ended {
  /** It could not be started. */
  error: NodeJS.ErrnoException | null;
  /** The last it said. */
  text: string;
}

function endOf(child: ChildProcess): Promise<Ended> {
  return new Promise((resolve) => {
    let said = '';
    child.stderr?.on('data', (part: Buffer) => (said = (said + part.toString()).slice(-20_000)));
    child.on('error', (error) => resolve({ error, text: error.message }));
    child.on('close', (code) => {
      const lines = said.trim().split('\n');
      const telling = lines.findLast((line) => /error|failed/i.test(line)) ?? lines.at(-1);
      resolve({ error: null, text: (telling || `it ended with ${code}`).slice(0, 500) });
    });
  });
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
