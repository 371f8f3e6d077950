import { Worker } from 'node:worker_threads';
import { StudioError, type PlainError } from '../../contract/errors.ts';
import type { TokenPiece } from '../../contract/modelLibrary.ts';
import type { Tokenizer } from '../../formats/tokenizer.ts';

/** What a model's tokenizer is like. */
export type TokenizerFacts = Pick<Tokenizer, 'vocabularySize' | 'bosId' | 'eosId'>;

export type TokenizerWork =
  | { kind: 'tokenize'; folder: string; text: string; specialTokens: boolean }
  | { kind: 'facts'; folder: string };

export interface ThreadRequest {
  id: number;
  work: TokenizerWork;
}

export type ThreadAnswer =
  { id: number; value: unknown; error: null } | { id: number; value: null; error: PlainError };

/** A text is cut in milliseconds and a large vocabulary read in a second or two; what takes longer does not end. */
const patienceMs = 10_000;
/** A thread that nobody has asked for so long gives its memory back. */
const idleMs = 60_000;

export interface TokenizerThread {
  /** @throws StudioError as the tokenizer's file says; model_invalid where it does not come to an end */
  facts(folder: string): Promise<TokenizerFacts>;
  /** @throws StudioError as `facts` does */
  tokenize(folder: string, text: string, specialTokens: boolean): Promise<TokenPiece[]>;
  close(): void;
}

/**
 * Loads tokenizers and tries them out in a thread of their own: a vocabulary of megabytes must not hold up the core, and a pattern in a stranger's
 * tokenizer.json may need longer than the world stands.
 */
export function createTokenizerThread(options: { patienceMs?: number } = {}): TokenizerThread {
  const waiting = new Map<number, (answer: ThreadAnswer | StudioError) => void>();
  let worker: Worker | null = null;
  let idle: NodeJS.Timeout | undefined;
  let nextId = 0;

  function end(reason: StudioError | null): void {
    clearTimeout(idle);
    void worker?.terminate();
    worker = null;
    const error = reason ?? new StudioError('cancelled', 'The studio is closing.', 'Try again.');
    for (const answer of waiting.values()) answer(error);
    waiting.clear();
  }

  function start(): Worker {
    const started = new Worker(new URL('./worker.ts', import.meta.url));
    started.unref();
    started.on('message', (answer: ThreadAnswer) => {
      waiting.get(answer.id)?.(answer);
      waiting.delete(answer.id);
    });
    started.on('error', (error) => {
      if (worker === started)
        end(new StudioError('internal', error.message, 'Report this defect.', { cause: error }));
    });
    return started;
  }

  async function ask(work: TokenizerWork): Promise<unknown> {
    worker ??= start();
    clearTimeout(idle);
    const id = nextId++;
    const patience = options.patienceMs ?? patienceMs;
    const timer = setTimeout(() => end(tooLong(patience)), patience);
    try {
      const answer = await new Promise<ThreadAnswer | StudioError>((resolve) => {
        waiting.set(id, resolve);
        worker!.postMessage({ id, work } satisfies ThreadRequest);
      });
      if (answer instanceof StudioError) throw answer;
      if (answer.error) throw StudioError.fromPlain(answer.error);
      return answer.value;
    } finally {
      clearTimeout(timer);
      if (waiting.size === 0) idle = setTimeout(() => end(null), idleMs).unref();
    }
  }

  return {
    facts: async (folder) => (await ask({ kind: 'facts', folder })) as TokenizerFacts,
    tokenize: async (folder, text, specialTokens) =>
      (await ask({ kind: 'tokenize', folder, text, specialTokens })) as TokenPiece[],
    close: () => end(null),
  };
}

function tooLong(ms: number): StudioError {
  return new StudioError(
    'model_invalid',
    `The tokenizer did not come to an end within ${ms / 1000} s.`,
    'A pattern in tokenizer.json may be damaged or hostile: use the tokenizer of the model’s own maker, and do not train with this one.',
  );
}
