import { existsSync, lstatSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { StudioError } from '../../contract/errors.ts';
import type { DecoderConfig } from '../families/decoderConfig.ts';
import { readDecoderConfig } from '../families/huggingFaceConfig.ts';
import { readJsonObject } from '../files/jsonFile.ts';
import { speedUp } from './fastEncoding.ts';
import { spellingOf, tokenEnds, type AddedToken } from './tokenEnds.ts';

/** Text to ids and back, as the model folder's files define it for transformers 5. */
export interface Tokenizer {
  /**
   * With `specialTokens`, those that begin a text (usually BOS) are put before it, unless it is written with them. What
   * a post-processor puts behind a text (EOS) is never added: a prompt that has ended asks for nothing.
   * @throws StudioError tokenizer_mismatch: the text has a token for which the model has no embedding
   */
  encode(text: string, options: { specialTokens: boolean }): number[];
  /**
   * The same ids, with the bytes of the text (UTF-8) before the end of each token. `ends` is null where tokens are not
   * the text's own letters (normalizers that change them).
   * @throws StudioError as `encode` does
   */
  encodeWithEnds(
    text: string,
    options: { specialTokens: boolean },
  ): { ids: number[]; ends: Uint32Array | null };
  /** Special tokens are left out, unless `specialTokens` is set. */
  decode(ids: readonly number[], options?: { specialTokens: boolean }): string;
  /** A token as the vocabulary spells it, for example `▁the`; null where there is no such id. */
  entryOf(id: number): string | null;
  /** The id of a token as the vocabulary spells it; null where there is none. */
  idOf(entry: string): number | null;
  /** Tokens that are cut out of texts whole, special ones among them. */
  addedTokens: ReadonlySet<string>;
  /** Tokens by the names that chat templates know: bos_token, eos_token and so on. */
  namedTokens: Readonly<Record<string, string>>;
  /** Largest id + 1 of the vocabulary; added tokens, which only some texts have, may lie beyond. */
  vocabularySize: number;
  bosId: number | null;
  /** What training puts behind an answer: one of `endIds`, and one at which transformers stops, too. */
  eosId: number | null;
  /** At these generation stops: the model's own (DecoderConfig.eosIds) and the tokenizer's. */
  endIds: readonly number[];
}

const maxTokenizerBytes = 100 * 1024 * 1024;

/**
 * Where the folder has a config.json, its end tokens and its number of embeddings count as well.
 * @throws StudioError model_invalid: tokenizer.json is missing or cannot be read; and as `readDecoderConfig` does
 */
export function loadTokenizer(folder: string): Tokenizer {
  const json = readTokenizerFile(folder);
  const config = readOptional(join(folder, 'tokenizer_config.json'));
  // Newer files say in added_tokens_decoder what special_tokens_map.json said, which then counts no more.
  const named = config['added_tokens_decoder']
    ? config
    : { ...config, ...readOptional(join(folder, 'special_tokens_map.json')) };
  addConfiguredTokens(json, named);
  let tokenizer: HuggingFaceTokenizer;
  try {
    tokenizer = new HuggingFaceTokenizer(json, config);
    speedUp(tokenizer);
  } catch (error) {
    throw new StudioError(
      'model_invalid',
      `tokenizer.json cannot be used: ${error instanceof Error ? error.message : String(error)}.`,
      'Take the tokenizer.json of the model’s publisher, or have transformers write one: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER).',
      { cause: error },
    );
  }
  const model = existsSync(join(folder, 'config.json')) ? readDecoderConfig(folder) : null;
  const idOf = (key: string): number | null => tokenizer.token_to_id(contentOf(named[key]) ?? '') ?? null;
  const beginning = beginningOf(tokenizer);
  const ends = endTokens(idOf('eos_token'), model?.eosIds ?? []);
  const spelling = spellingOf(json['decoder']);
  const added = new Map((json['added_tokens'] as AddedToken[]).map((token) => [token.content, token]));
  const cut = (text: string) => {
    const { ids, tokens } = tokenizer.encode(text, { add_special_tokens: false }) as {
      ids: number[];
      tokens: string[];
    };
    const unknown = model && ids.find((id: number) => id >= model.vocabularySize);
    if (unknown != null) throw noEmbedding(tokenizer.id_to_token(unknown), unknown, model!);
    return { ids, tokens };
  };
  /** What is put before a text with special tokens. */
  const before = (ids: readonly number[]) => (beginning.every((id, i) => ids[i] === id) ? [] : beginning);
  return {
    encode(text, { specialTokens }) {
      const { ids } = cut(text);
      return specialTokens ? withBefore(before(ids), ids) : ids;
    },
    encodeWithEnds(text, { specialTokens }) {
      const { ids, tokens } = cut(text);
      const ends = spelling && tokenEnds(text, tokens, spelling, added);
      const first = specialTokens ? before(ids) : [];
      if (first.length === 0) return { ids, ends };
      const all = ends && new Uint32Array(first.length + ends.length);
      all?.set(ends!, first.length);
      return { ids: withBefore(first, ids), ends: all };
    },
    decode: (ids, options) =>
      // An empty list is an error to the library.
      ids.length === 0
        ? ''
        : tokenizer.decode([...ids], {
            skip_special_tokens: !options?.specialTokens,
            clean_up_tokenization_spaces: cleansUp(json, config),
          }),
    entryOf: (id) => tokenizer.id_to_token(id) ?? null,
    idOf: (entry) => tokenizer.token_to_id(entry) ?? null,
    addedTokens: new Set(added.keys()),
    namedTokens: namedTokensOf(named),
    vocabularySize: 1 + largestId(json, { added: false }),
    bosId: idOf('bos_token'),
    ...ends,
  };
}

function readTokenizerFile(folder: string): Record<string, unknown> {
  const path = join(folder, 'tokenizer.json');
  const others = ['tokenizer.model', 'vocab.json', 'tekken.json'].filter((name) =>
    existsSync(join(folder, name)),
  );
  if (others.length > 0 && !lstatSync(path, { throwIfNoEntry: false }))
    throw new StudioError(
      'model_invalid',
      `${folder} has its tokenizer as ${others[0]!} only; the studio reads tokenizer.json.`,
      'Have transformers write one, in Python: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER).',
    );
  // What the reference reads may leave out parts that it does without; the library wants them named.
  const parts = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null };
  return { ...parts, ...readJsonObject(path, maxTokenizerBytes, 'model_invalid') };
}

function readOptional(path: string): Record<string, unknown> {
  return existsSync(path) ? readJsonObject(path, maxTokenizerBytes, 'model_invalid') : {};
}

function contentOf(token: unknown): string | null {
  const text = typeof token === 'object' && token !== null && 'content' in token ? token.content : token;
  return typeof text === 'string' && text !== '' ? text : null;
}

const withBefore = (first: readonly number[], ids: number[]) => (first.length > 0 ? first.concat(ids) : ids);

/** What transformers hands to a chat template of them. */
function namedTokensOf(named: Record<string, unknown>): Record<string, string> {
  const roles = ['bos', 'eos', 'unk', 'sep', 'pad', 'cls', 'mask'];
  return Object.fromEntries(
    roles.flatMap((role) => {
      const text = contentOf(named[`${role}_token`]);
      return text === null ? [] : [[`${role}_token`, text]];
    }),
  );
}

/**
 * Tokens that the tokenizer's configuration names are cut out of texts whole, as transformers does it; those that
 * tokenizer.json does not have get the next free ids.
 */
function addConfiguredTokens(json: Record<string, unknown>, named: Record<string, unknown>): void {
  const added = (json['added_tokens'] ??= []) as { content?: unknown }[];
  const idInVocabulary = vocabularyOf(json);
  const listed = Object.entries((named['added_tokens_decoder'] ?? {}) as Record<string, unknown>);
  const extra = named['extra_special_tokens'] ?? named['additional_special_tokens'];
  const tokens: unknown[] = [
    ...listed.sort(([a], [b]) => Number(a) - Number(b)).map(([, token]) => token),
    ...['bos', 'eos', 'unk', 'sep', 'pad', 'cls', 'mask'].map((role) => named[`${role}_token`]),
    ...(Array.isArray(extra) ? extra : Object.values((extra ?? {}) as object)),
  ];
  const plain = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  for (const token of tokens) {
    const content = contentOf(token);
    if (content === null || added.some((known) => known.content === content)) continue;
    const id = idInVocabulary(content) ?? largestId(json, { added: true }) + 1;
    added.push(Object.assign({}, plain, typeof token === 'object' ? token : {}, { id, content }));
  }
}

/** Looks up a token of the vocabulary without added tokens. */
function vocabularyOf(json: Record<string, unknown>): (content: string) => number | null {
  const vocabulary = (json['model'] as { vocab?: unknown } | undefined)?.vocab;
  if (Array.isArray(vocabulary))
    return (content) => {
      const at = vocabulary.findIndex((entry: unknown) => Array.isArray(entry) && entry[0] === content);
      return at < 0 ? null : at;
    };
  const ids = (typeof vocabulary === 'object' ? vocabulary : null) as Record<string, number> | null;
  return (content) => (ids !== null && Object.hasOwn(ids, content) ? ids[content]! : null);
}

/** Ids that the post-processor puts before a text. */
function beginningOf(tokenizer: HuggingFaceTokenizer): readonly number[] {
  // No text has a token like this.
  const text = '\0text\0';
  const { tokens } = tokenizer.post_processor?.post_process([text], null, true) ?? { tokens: [text] };
  return tokens.slice(0, tokens.indexOf(text)).flatMap((token: string) => tokenizer.token_to_id(token) ?? []);
}

/**
 * The one place that says how a text ends. Tokenizer and model may name different tokens: training then appends the
 * model's, since transformers stops at no other, and generation stops at both, as lm-evaluation-harness does.
 */
function endTokens(own: number | null, ofModel: readonly number[]): Pick<Tokenizer, 'eosId' | 'endIds'> {
  const eosId = own !== null && (ofModel.includes(own) || ofModel.length === 0) ? own : (ofModel[0] ?? null);
  return { eosId, endIds: [...new Set([...ofModel, ...(own === null ? [] : [own])])] };
}

/** The clean-up of spaces was made for WordPiece; transformers 5 leaves it out of BPE, whatever the file says. */
function cleansUp(json: Record<string, unknown>, config: Record<string, unknown>): boolean {
  const { type } = (json['model'] ?? {}) as { type?: unknown };
  return (
    config['clean_up_tokenization_spaces'] === true &&
    (type !== 'BPE' ||
      config['clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output'] === true)
  );
}

function noEmbedding(token: string | undefined, id: number, model: DecoderConfig): StudioError {
  return new StudioError(
    'tokenizer_mismatch',
    `The text has the token ${JSON.stringify(token)} (id ${id}), for which the model has no embedding: it has ${model.vocabularySize}.`,
    'Take the token out of the text or the row, or resize the model’s embeddings.',
  );
}

function largestId(json: Record<string, unknown>, { added }: { added: boolean }): number {
  let largest = -1;
  const vocabulary = ((json['model'] ?? {}) as Record<string, unknown>)['vocab'];
  if (Array.isArray(vocabulary)) largest = vocabulary.length - 1;
  else if (typeof vocabulary === 'object' && vocabulary !== null)
    for (const id of Object.values(vocabulary)) if (typeof id === 'number' && id > largest) largest = id;
  const tokens = json['added_tokens'];
  if (added && Array.isArray(tokens))
    for (const token of tokens as { id?: unknown }[])
      if (typeof token.id === 'number' && token.id > largest) largest = token.id;
  return largest;
}

/**
 * Added tokens beyond the embedding are no reason to refuse a model: texts without them can be used.
 * @throws StudioError tokenizer_mismatch: the vocabulary, or a token of every text, has ids without an embedding
 */
export function checkTokenizer(
  { vocabularySize, bosId, eosId }: Pick<Tokenizer, 'vocabularySize' | 'bosId' | 'eosId'>,
  config: DecoderConfig,
): void {
  const largest = Math.max(vocabularySize - 1, bosId ?? 0, eosId ?? 0);
  if (largest < config.vocabularySize) return;
  throw new StudioError(
    'tokenizer_mismatch',
    `tokenizer.json has ids up to ${largest}, but config.json gives the model a vocabulary of ${config.vocabularySize}.`,
    'Use the tokenizer that belongs to this model, or resize the embeddings where the tokens were added.',
  );
}
