import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { StudioError } from '../../contract/errors.ts';
import type { DecoderConfig } from '../families/decoderConfig.ts';
import { readDecoderConfig } from '../families/huggingFaceConfig.ts';
import { readJsonObject } from '../files/jsonFile.ts';

/** Text to ids and back, as the model folder's tokenizer.json defines it. */
export interface Tokenizer {
  /** With `specialTokens`, the post-processor's (usually a leading BOS) are added. */
  encode(text: string, options: { specialTokens: boolean }): number[];
  /** Special tokens are left out. */
  decode(ids: readonly number[]): string;
  /** A token as the vocabulary spells it, for example `▁the`; null where there is no such id. */
  entryOf(id: number): string | null;
  /** Largest id + 1, added tokens included. */
  vocabularySize: number;
  bosId: number | null;
  eosId: number | null;
}

const maxTokenizerBytes = 100 * 1024 * 1024;

/** @throws StudioError model_invalid: tokenizer.json is missing or cannot be read */
export function loadTokenizer(folder: string): Tokenizer {
  const json = readJsonObject(join(folder, 'tokenizer.json'), maxTokenizerBytes, 'model_invalid');
  const configPath = join(folder, 'tokenizer_config.json');
  const config = existsSync(configPath) ? readJsonObject(configPath, maxTokenizerBytes, 'model_invalid') : {};
  let tokenizer: HuggingFaceTokenizer;
  try {
    tokenizer = new HuggingFaceTokenizer(json, config);
  } catch (error) {
    throw new StudioError(
      'model_invalid',
      `tokenizer.json cannot be used: ${error instanceof Error ? error.message : String(error)}.`,
      'Download the model again; the file must be a Hugging Face tokenizer.json.',
      { cause: error },
    );
  }
  const idOf = (key: string): number | null => {
    const value = config[key];
    const text = typeof value === 'object' && value !== null && 'content' in value ? value.content : value;
    return typeof text === 'string' ? (tokenizer.token_to_id(text) ?? null) : null;
  };
  return {
    encode: (text, { specialTokens }) => tokenizer.encode(text, { add_special_tokens: specialTokens }).ids,
    // An empty list is an error to the library.
    decode: (ids) => (ids.length === 0 ? '' : tokenizer.decode([...ids], { skip_special_tokens: true })),
    entryOf: (id) => tokenizer.id_to_token(id) ?? null,
    vocabularySize: largestId(json) + 1,
    bosId: idOf('bos_token'),
    eosId: idOf('eos_token'),
  };
}

/**
 * A model folder's tokenizer, or what is known of it, with the model's own end id where the tokenizer's configuration
 * names none: an answer must end with a token that generation stops at.
 */
export function withModelEnd<T extends Pick<Tokenizer, 'eosId'>>(tokenizer: T, folder: string): T {
  return { ...tokenizer, eosId: tokenizer.eosId ?? readDecoderConfig(folder).eosIds[0] ?? null };
}

function largestId(json: Record<string, unknown>): number {
  let largest = -1;
  const model = (json['model'] ?? {}) as Record<string, unknown>;
  const vocabulary = model['vocab'];
  if (Array.isArray(vocabulary)) largest = vocabulary.length - 1;
  else if (typeof vocabulary === 'object' && vocabulary !== null)
    for (const id of Object.values(vocabulary)) if (typeof id === 'number' && id > largest) largest = id;
  const added = json['added_tokens'];
  if (Array.isArray(added))
    for (const token of added as { id?: unknown }[])
      if (typeof token.id === 'number' && token.id > largest) largest = token.id;
  return largest;
}

/** @throws StudioError tokenizer_mismatch: the tokenizer makes ids for which the model has no embedding */
export function checkTokenizer(tokenizer: Pick<Tokenizer, 'vocabularySize'>, config: DecoderConfig): void {
  if (tokenizer.vocabularySize <= config.vocabularySize) return;
  throw new StudioError(
    'tokenizer_mismatch',
    `tokenizer.json has ids up to ${tokenizer.vocabularySize - 1}, but config.json gives the model a vocabulary of ${config.vocabularySize}.`,
    'Use the tokenizer that belongs to this model, or resize the embeddings where the tokens were added.',
  );
}
