import { statSync } from 'node:fs';
import { join } from 'node:path';
import { parentPort } from 'node:worker_threads';
import { toPlainError } from '../../contract/errors.ts';
import { loadTokenizer, type Tokenizer } from '../../formats/tokenizer.ts';
import type { ThreadAnswer, ThreadRequest, TokenizerWork } from './tokenizerThread.ts';
import { tokenPieces } from './tokenPieces.ts';

/** Entry of the thread in which tokenizers are loaded and tried out. The last one is kept: a person tries several texts. */
let last: { key: string; tokenizer: Tokenizer } | null = null;

function load(folder: string): Tokenizer {
  const path = join(folder, 'tokenizer.json');
  const key = `${path} ${statSync(path, { throwIfNoEntry: false })?.mtimeMs}`;
  if (last?.key !== key) last = { key, tokenizer: loadTokenizer(folder) };
  return last.tokenizer;
}

function result(work: TokenizerWork): unknown {
  const tokenizer = load(work.folder);
  if (work.kind === 'tokenize') return tokenPieces(tokenizer, work.text, work.specialTokens);
  const { vocabularySize, bosId, eosId } = tokenizer;
  return { vocabularySize, bosId, eosId };
}

parentPort!.on('message', ({ id, work }: ThreadRequest) => {
  let answer: ThreadAnswer;
  try {
    answer = { id, value: result(work), error: null };
  } catch (error) {
    answer = { id, value: null, error: toPlainError(error) };
  }
  parentPort!.postMessage(answer);
});
