import { Worker } from 'node:worker_threads';
import type { Model } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { TokenPiece } from '../../contract/modelLibrary.ts';
import type { Row } from '../../contract/rows.ts';
import type { TemplateFacts } from '../../contract/datasets/previews.ts';
import type { Template } from '../../contract/templates.ts';
import type { Rendering } from '../../data/rendering/renderer.ts';
import type { TokenizedRow } from '../../data/rendering/tokenizeRow.ts';
import { cancelled } from '../machine/disk.ts';
import type {
  Chat,
  ChatPrompt,
  ContinuedIds,
  ContinuedText,
  PreviewSettings,
  ShownRow,
  TemplateCheck,
  ThreadAnswer,
  ThreadRequest,
  TokenizerFacts,
  TokenizerWork,
} from './tokenizerWork.ts';
import { createTextClock, watchTextClock, type StalledText } from './textClock.ts';

/** Whose tokenizer; errors call it by the name. */
export type TokenizerOwner = Pick<Model, 'name' | 'folder'>;

/** A text is cut in milliseconds and a large vocabulary read in a second or two; what takes longer does not end. */
const patienceMs = 10_000;
/** Of the thread alone: the largest vocabularies take a tenth of it. */
const mostMemoryMb = 4096;
/** A thread that nobody has asked for so long gives its memory back. */
const idleMs = 60_000;

/**
 * All reject with a StudioError: as the tokenizer's file says; model_invalid where it takes too long; cancelled where
 * the thread is closed.
 */
export interface TokenizerThread {
  facts(owner: TokenizerOwner): Promise<TokenizerFacts>;
  tokenize(owner: TokenizerOwner, text: string, specialTokens: boolean): Promise<TokenPiece[]>;
  /** Ids of each text, special tokens added. */
  encode(owner: TokenizerOwner, texts: readonly string[]): Promise<number[][]>;
  /** Ids of each text, and those that each of its continuations adds. */
  pairs(owner: TokenizerOwner, prompts: readonly ContinuedText[]): Promise<ContinuedIds[]>;
  /** Whole rows through a template, each with its end token (data/rendering). */
  rows(owner: TokenizerOwner, rows: readonly Row[], rendering: Rendering): Promise<TokenizedRow[]>;
  /** Conversations through a template, up to where the assistant goes on. */
  prompts(owner: TokenizerOwner, chats: readonly Chat[], rendering: Rendering): Promise<ChatPrompt[]>;
  /** Rows as training sees them within a context, without their places in the dataset. */
  preview(owner: TokenizerOwner, rows: readonly Row[], how: PreviewSettings): Promise<ShownRow[]>;
  /** Whether a template can be used, and what it makes of a short conversation. */
  check(owner: TokenizerOwner, template: Template): Promise<TemplateCheck>;
  /** What the template is for this model: which, its text, where generation ends. */
  renderer(owner: TokenizerOwner, rendering: Rendering): Promise<TemplateFacts>;
  /** Ends it at once, in the middle of a text, too. */
  close(): void;
}

interface Waiting {
  owner: TokenizerOwner;
  request: ThreadRequest;
  settle(answer: ThreadAnswer | StudioError): void;
}

/**
 * Loads tokenizers and runs them in a thread of their own: a vocabulary of megabytes must not hold up the core, and a
 * pattern in a stranger's tokenizer.json may need longer than the world stands. Requests are answered in their order;
 * one that takes too long fails alone.
 */
export function createTokenizerThread(
  options: { patienceMs?: number; memoryMb?: number } = {},
): TokenizerThread {
  const waiting = new Map<number, Waiting>();
  const clock = createTextClock();
  const watch = watchTextClock(clock, { patienceMs: options.patienceMs ?? patienceMs, onStall });
  let worker: Worker | null = null;
  let idle: NodeJS.Timeout | undefined;
  let nextId = 0;

  function endWorker(): void {
    clearTimeout(idle);
    watch.stop();
    void worker?.terminate();
    worker = null;
  }

  function failAll(error: StudioError): void {
    endWorker();
    for (const { settle } of waiting.values()) settle(error);
    waiting.clear();
  }

  /** The first in line is the one that is under way; the others begin anew. */
  function failFirst(reason: (owner: TokenizerOwner) => StudioError): void {
    endWorker();
    const [first] = waiting.values();
    if (!first) return;
    waiting.delete(first.request.id);
    first.settle(reason(first.owner));
    for (const { request } of waiting.values()) send(request);
  }

  function onStall(stalled: StalledText): void {
    failFirst((owner) => tooLong(owner, stalled));
  }

  function start(): Worker {
    const started = new Worker(new URL('./worker.ts', import.meta.url), {
      workerData: clock,
      resourceLimits: { maxOldGenerationSizeMb: options.memoryMb ?? mostMemoryMb },
    });
    started.unref();
    started.on('message', (answer: ThreadAnswer) => {
      waiting.get(answer.id)?.settle(answer);
      waiting.delete(answer.id);
      if (waiting.size === 0) watch.stop();
    });
    started.on('error', (error) => {
      if (worker !== started) return;
      if ('code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY') failFirst(tooMuch);
      else failAll(new StudioError('internal', error.message, 'Report this defect.', { cause: error }));
    });
    return started;
  }

  function send(request: ThreadRequest): void {
    clearTimeout(idle);
    worker ??= start();
    watch.start();
    worker.postMessage(request);
  }

  async function ask(owner: TokenizerOwner, work: TokenizerWork): Promise<unknown> {
    const request = { id: nextId++, work };
    try {
      const answer = await new Promise<ThreadAnswer | StudioError>((settle) => {
        waiting.set(request.id, { owner, request, settle });
        send(request);
      });
      if (answer instanceof StudioError) throw answer;
      if (answer.error) throw StudioError.fromPlain(answer.error);
      return answer.value;
    } finally {
      clearTimeout(idle);
      if (waiting.size === 0) idle = setTimeout(endWorker, idleMs).unref();
    }
  }

  return {
    facts: async (owner) => (await ask(owner, { kind: 'facts', folder: owner.folder })) as TokenizerFacts,
    tokenize: async (owner, text, specialTokens) =>
      (await ask(owner, { kind: 'tokenize', folder: owner.folder, text, specialTokens })) as TokenPiece[],
    encode: async (owner, texts) =>
      (await ask(owner, { kind: 'encode', folder: owner.folder, texts })) as number[][],
    pairs: async (owner, prompts) =>
      (await ask(owner, { kind: 'pairs', folder: owner.folder, prompts })) as ContinuedIds[],
    rows: async (owner, rows, rendering) =>
      (await ask(owner, { kind: 'rows', folder: owner.folder, rows, rendering })) as TokenizedRow[],
    prompts: async (owner, chats, rendering) =>
      (await ask(owner, { kind: 'prompts', folder: owner.folder, chats, rendering })) as ChatPrompt[],
    preview: async (owner, rows, how) =>
      (await ask(owner, { kind: 'preview', folder: owner.folder, rows, how })) as ShownRow[],
    check: async (owner, template) =>
      (await ask(owner, { kind: 'check', folder: owner.folder, template })) as TemplateCheck,
    renderer: async (owner, rendering) =>
      (await ask(owner, { kind: 'renderer', folder: owner.folder, rendering })) as TemplateFacts,
    close: () => failAll(cancelled('Tokenizing')),
  };
}

/**
 * Does a job's tokenizing in a thread of the job's own, so that a tokenizer that does not come to an end holds up
 * nobody else.
 * @param signal aborting ends the thread at once
 */
export async function withTokenizerThread<T>(
  signal: AbortSignal,
  work: (thread: TokenizerThread) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const thread = createTokenizerThread();
  signal.addEventListener('abort', thread.close, { once: true });
  try {
    return await work(thread);
  } finally {
    signal.removeEventListener('abort', thread.close);
    thread.close();
  }
}

function tooMuch({ name }: TokenizerOwner): StudioError {
  return new StudioError(
    'model_invalid',
    `The tokenizer or the template of ${name} took more memory than ${mostMemoryMb} MB.`,
    'It may be damaged or hostile: use the files of the model’s own maker, or another template.',
  );
}

function tooLong({ name }: TokenizerOwner, { characters, limitMs }: StalledText): StudioError {
  const limit = `${Math.round(limitMs / 100) / 10} s`;
  return new StudioError(
    'model_invalid',
    characters === null
      ? `The tokenizer of ${name} took longer than ${limit} to load.`
      : `The tokenizer of ${name} took longer than ${limit} on a text of ${characters} characters.`,
    'A pattern in tokenizer.json may be damaged or hostile: use the tokenizer of the model’s own maker, and do not train with this one.',
  );
}
