import { statSync } from 'node:fs';
import { join } from 'node:path';
import { parentPort } from 'node:worker_threads';
import { toPlainError } from '../../contract/errors.ts';
import { loadTokenizer, type Tokenizer } from '../../formats/tokenizer.ts';
import type { TokenizeAnswer, TokenizeRequest } from './tryOut.ts';
import { tokenPieces } from './tokenPieces.ts';

/** Entry of the thread in which tokenizers are tried out. The last one is kept: a person tries several texts. */
let last: { key: string; tokenizer: Tokenizer } | null = null;

parentPort!.on('message', ({ id, folder, text, specialTokens }: TokenizeRequest) => {
  const answer = (rest: Omit<TokenizeAnswer, 'id'>) => parentPort!.postMessage({ id, ...rest });
  try {
    const path = join(folder, 'tokenizer.json');
    const key = `${path} ${statSync(path).mtimeMs}`;
    if (last?.key !== key) last = { key, tokenizer: loadTokenizer(folder) };
    answer({ pieces: tokenPieces(last.tokenizer, text, specialTokens), error: null });
  } catch (error) {
    answer({ pieces: [], error: toPlainError(error) });
  }
});
