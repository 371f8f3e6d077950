import { join } from 'node:path';
import { StudioError } from '../../../contract/errors.ts';
import { readJsonObject } from '../../files/jsonFile.ts';
import { loadTokenizer } from '../../model/tokenizer.ts';
import type { GgufEntry } from '../writeGguf.ts';
import { preTokenizerName } from './preTokenizer.ts';

/** What llama.cpp calls a token. */
export const tokenTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** Scores of tokens that no merge makes, as llama.cpp's converter writes them. */
const addedScore = -1000;
const unusedScore = -10_000;

export const spaceMark = '▁';

interface Vocabulary {
  tokens: string[];
  types: number[];
}

/** Of tokenizer.json. */
interface TokenizerJson {
  normalizer: unknown;
  pre_tokenizer: unknown;
  model: {
    type?: unknown;
    vocab: Readonly<Record<string, number>>;
    merges: readonly (string | readonly [string, string])[];
    byte_fallback?: boolean;
    unk_token?: string | null;
    ignore_merges?: boolean;
  };
  added_tokens?: readonly { id: number; content: string; special?: boolean }[];
}

/**
 * The tokenizer of a model folder as GGUF has it: byte-level (`gpt2`) with merges and the name of how it splits texts,
 * or sentencepiece's (`llama`) with a score for each piece.
 * @param size tokens of the model: those without a text are marked as unused
 * @throws StudioError model_unsupported: a tokenizer that llama.cpp does not have
 */
export function tokenizerEntries(folder: string, size: number): { entries: GgufEntry[]; notes: string[] } {
  const json = readJsonObject(join(folder, 'tokenizer.json'), 100 * 1024 * 1024, 'model_invalid');
  const { model } = json as unknown as TokenizerJson;
  if (model?.type !== undefined && model.type !== 'BPE')
    throw unsupported(`is of the kind ${JSON.stringify(model.type)}`);
  const tokenizer = json as unknown as TokenizerJson;
  const isPieces = model.byte_fallback === true || Object.hasOwn(model.vocab, spaceMark);
  const vocabulary = vocabularyOf(tokenizer, size, isPieces);
  const own = isPieces ? pieceEntries(tokenizer, vocabulary) : byteEntries(tokenizer, json);
  const text = (key: string, value: string): GgufEntry => ({
    key: `tokenizer.ggml.${key}`,
    type: 'string',
    value,
  });
  const entries: GgufEntry[] = [
    text('model', isPieces ? 'llama' : 'gpt2'),
    text('pre', isPieces ? 'default' : preTokenizerName(json)),
    { key: 'tokenizer.ggml.tokens', type: 'string', values: vocabulary.tokens },
    { key: 'tokenizer.ggml.token_type', type: 'i32', values: vocabulary.types },
    ...own,
    ...specialEntries(folder, size),
  ];
  return { entries, notes: normalizerNotes(tokenizer, isPieces) };
}

function unsupported(what: string): StudioError {
  return new StudioError(
    'model_unsupported',
    `The tokenizer ${what}, which llama.cpp's format does not hold.`,
    'Export the Hugging Face folder, or the adapter as GGUF for a base that others have converted.',
  );
}

function vocabularyOf(
  { model, added_tokens: added = [] }: TokenizerJson,
  size: number,
  isPieces: boolean,
): Vocabulary {
  const tokens = Array.from({ length: size }, (_, id) => `[PAD${id}]`);
  const types = new Array<number>(size).fill(tokenTypes.unused);
  const set = (id: number, token: string, type: number) => {
    // Tokens without an embedding are no part of the model.
    if (id < 0 || id >= size) return;
    tokens[id] = token;
    types[id] = type;
  };
  for (const [token, id] of Object.entries(model.vocab)) {
    const isByte = isPieces && /^<0x[0-9A-F]{2}>$/.test(token);
    const isUnknown = isPieces && token === model.unk_token;
    set(id, token, isByte ? tokenTypes.byte : isUnknown ? tokenTypes.unknown : tokenTypes.normal);
  }
  for (const { id, content, special } of added) {
    if (isPieces && content === model.unk_token) continue;
    const isControl = special === true || looksSpecial(content);
    // Tokens that users write are looked for in the text as it is, with its spaces.
    const token = isControl || !isPieces ? content : content.replaceAll(spaceMark, ' ');
    set(id, token, isControl ? tokenTypes.control : tokenTypes.userDefined);
  }
  return { tokens, types };
}

/** Some makers do not mark what is no text as special. */
function looksSpecial(token: string): boolean {
  return ['<pad>', '<mask>', '<2mass>', '[@BOS@]'].includes(token) || /^(<\|.*\|>|<unused.*>)$/.test(token);
}

function mergePairs({ model }: TokenizerJson): (readonly [string, string])[] {
  return model.merges.map((merge): readonly [string, string] => {
    if (typeof merge !== 'string') return merge;
    const at = merge.indexOf(' ', 1);
    return [merge.slice(0, at), merge.slice(at + 1)];
  });
}

function byteEntries(tokenizer: TokenizerJson, json: Readonly<Record<string, unknown>>): GgufEntry[] {
  preTokenizerName(json);
  const values = mergePairs(tokenizer).map(([left, right]) => `${left} ${right}`);
  return [{ key: 'tokenizer.ggml.merges', type: 'string', values }];
}

/**
 * Scores order the pieces as merges do: llama.cpp joins the two neighbours whose piece has the highest one.
 * @throws StudioError model_unsupported where merges of different pieces alternate, which no scores can say
 */
function pieceEntries(tokenizer: TokenizerJson, { tokens, types }: Vocabulary): GgufEntry[] {
  const rank = new Map<string, number>();
  let last = '';
  for (const [left, right] of mergePairs(tokenizer)) {
    const piece = left + right;
    if (piece === last) continue;
    if (rank.has(piece)) throw unsupported(`makes ${JSON.stringify(piece)} at two places of its merges`);
    rank.set(piece, rank.size);
    last = piece;
  }
  const scores = tokens.map((token, id) => {
    if (types[id] === tokenTypes.unused) return unusedScore;
    if (types[id] !== tokenTypes.normal) return types[id] === tokenTypes.byte ? 0 : addedScore;
    // What no merge makes comes after all that one does.
    return -(rank.get(token) ?? rank.size);
  });
  return [
    { key: 'tokenizer.ggml.scores', type: 'f32', values: scores },
    { key: 'tokenizer.ggml.add_space_prefix', type: 'bool', value: putsSpaceBefore(tokenizer) },
  ];
}

/** Whether a mark of space is put before a text: by the normalizer Prepend, or by Metaspace. */
function putsSpaceBefore({ normalizer, pre_tokenizer: pre }: TokenizerJson): boolean {
  const steps = [...flat(normalizer, 'normalizers'), ...flat(pre, 'pretokenizers')];
  return steps.some(
    (step) =>
      (step['type'] === 'Prepend' && step['prepend'] === spaceMark) ||
      (step['type'] === 'Metaspace' && (step['prepend_scheme'] ?? 'always') !== 'never'),
  );
}

type Step = Readonly<Record<string, unknown>>;

function flat(value: unknown, inner: string): Step[] {
  const step = (value ?? {}) as Step;
  return step['type'] === 'Sequence'
    ? (step[inner] as unknown[]).flatMap((part) => flat(part, inner))
    : [step];
}

/** @throws StudioError model_unsupported for a normalizer that changes texts in a way llama.cpp does not */
function normalizerNotes({ normalizer }: TokenizerJson, isPieces: boolean): string[] {
  const steps = flat(normalizer, 'normalizers').filter(({ type }) => type !== undefined);
  const foreign = steps.find((step) => step['type'] !== 'NFC' && !(isPieces && isSpaceStep(step)));
  if (foreign) throw unsupported(`changes texts first (${JSON.stringify(foreign).slice(0, 200)})`);
  return steps.some(({ type }) => type === 'NFC')
    ? [
        'llama.cpp does not compose letters and their accents (Unicode NFC) before it splits a text, as this tokenizer does.',
      ]
    : [];
}

function isSpaceStep(step: Step): boolean {
  if (step['type'] === 'Prepend') return step['prepend'] === spaceMark;
  const { String: pattern } = (step['pattern'] ?? {}) as { String?: unknown };
  return step['type'] === 'Replace' && pattern === ' ' && step['content'] === spaceMark;
}

/** Tokens by their use, and what is put before a text. */
function specialEntries(folder: string, size: number): GgufEntry[] {
  const tokenizer = loadTokenizer(folder);
  const { bosId, eosId, endIds, namedTokens } = tokenizer;
  const named = (role: string): number | null => {
    const token = namedTokens[`${role}_token`];
    return token === undefined ? null : tokenizer.idOf(token);
  };
  const ids: [string, number | null][] = [
    ['bos', bosId],
    ['eos', eosId],
    // Generation stops there, too.
    ['eot', endIds.find((id) => id !== eosId) ?? null],
    ['unknown', named('unk')],
    ['padding', named('pad')],
  ];
  const [first] = tokenizer.encode('a', { specialTokens: true });
  return [
    ...ids.flatMap(([role, id]): GgufEntry[] =>
      id === null || id >= size ? [] : [{ key: `tokenizer.ggml.${role}_token_id`, type: 'u32', value: id }],
    ),
    { key: 'tokenizer.ggml.add_bos_token', type: 'bool', value: bosId !== null && first === bosId },
    { key: 'tokenizer.ggml.add_eos_token', type: 'bool', value: false },
  ];
}
