import type { Example } from '../../contract/entities.ts';
import type { PlainError } from '../../contract/errors.ts';
import type { TokenPiece } from '../../contract/modelLibrary.ts';
import { tokenizeExample } from '../../data/tokenize.ts';
import { stampOf } from '../../formats/model/identity.ts';
import { loadTokenizer, type Tokenizer } from '../../formats/model/tokenizer.ts';
import { beginText, type TextClock } from './textClock.ts';

/** What a model's tokenizer is like. */
export type TokenizerFacts = Pick<Tokenizer, 'vocabularySize' | 'bosId' | 'eosId'>;

export type TokenizerWork =
  | { kind: 'tokenize'; folder: string; text: string; specialTokens: boolean }
  | { kind: 'encode'; folder: string; texts: readonly string[] }
  | { kind: 'examples'; folder: string; examples: readonly Example[] }
  | { kind: 'facts'; folder: string };

export interface ThreadRequest {
  id: number;
  work: TokenizerWork;
}

export type ThreadAnswer =
  { id: number; value: unknown; error: null } | { id: number; value: null; error: PlainError };

/** The last one is kept: a person tries several texts, a job has many. */
let last: { key: string; tokenizer: Tokenizer } | null = null;

/** What a tokenizer depends on. */
const tokenizerFiles = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'config.json',
  'generation_config.json',
];

function load(clock: TextClock, folder: string): Tokenizer {
  beginText(clock, null);
  const key = stampOf(folder, tokenizerFiles);
  if (last?.key !== key) last = { key, tokenizer: loadTokenizer(folder) };
  return last.tokenizer;
}

/** Does what was asked for; each text that is begun is told to the clock. */
export function doTokenizerWork(clock: TextClock, work: TokenizerWork): unknown {
  const tokenizer = load(clock, work.folder);
  switch (work.kind) {
    case 'tokenize':
      beginText(clock, work.text.length);
      return tokenPieces(tokenizer, work.text, work.specialTokens);
    case 'encode':
      return work.texts.map((text) => {
        beginText(clock, text.length);
        return tokenizer.encode(text, { specialTokens: true });
      });
    case 'examples':
      return work.examples.map((example) => {
        beginText(clock, example.prompt.length + example.answer.length);
        return tokenizeExample(tokenizer, example, true);
      });
    case 'facts': {
      const { vocabularySize, bosId, eosId } = tokenizer;
      return { vocabularySize, bosId, eosId };
    }
  }
}

/** A text as the pieces that a tokenizer cuts it into. */
function tokenPieces(tokenizer: Tokenizer, text: string, specialTokens: boolean): TokenPiece[] {
  const ids = tokenizer.encode(text, { specialTokens });
  return ids.map((id, i) => {
    const entry = tokenizer.entryOf(id) ?? '';
    const alone = tokenizer.decode([id]);
    if (alone === '') return { id, text: entry, entry, isSpecial: true };
    // A decoder drops the space at a text's begin: what a token adds is seen behind the one before it.
    const before = i === 0 ? '' : tokenizer.decode([ids[i - 1]!]);
    const both = i === 0 ? alone : tokenizer.decode([ids[i - 1]!, id]);
    const added = both.startsWith(before) && before !== '' ? both.slice(before.length) : alone;
    return { id, text: added === '' || added.includes('\uFFFD') ? entry : added, entry, isSpecial: false };
  });
}
