import { StudioError } from '../../../contract/errors.ts';
import type { GgufFile } from '../ggufFile.ts';
import { preTokenizerOf } from './preTokenizer.ts';
import { spaceMark, tokenTypes } from './tokenizerEntries.ts';

type Json = Record<string, unknown>;

/** The files of a tokenizer, and where generation ends. */
export interface ReadTokenizer {
  tokenizer: Json;
  config: Json;
  endIds: number[];
}

/** Names under which llama.cpp puts a text's begin before it, where the file does not say whether it does. */
const beginsByItself = ['llama-bpe', 'llama3', 'llama-v3', 'tekken'];
/** Control tokens at which llama.cpp stops by their names. */
const endNames = ['<|eot_id|>', '<|im_end|>', '<|end|>', '<end_of_turn>', '<|endoftext|>'];

interface Vocabulary {
  tokens: readonly string[];
  types: readonly number[];
  scores: readonly number[] | null;
}

/**
 * The tokenizer of a GGUF file as tokenizer.json and tokenizer_config.json.
 * @param size embeddings of the model
 * @throws StudioError model_invalid, model_unsupported: a kind that the studio does not read
 */
export function readGgufTokenizer(file: GgufFile, size: number): ReadTokenizer {
  const said = (key: string) => file.metadata.get(`tokenizer.ggml.${key}`);
  const model = said('model');
  if (model !== 'gpt2' && model !== 'llama')
    throw new StudioError(
      'model_unsupported',
      model === undefined
        ? 'The GGUF file has no tokenizer.'
        : `The GGUF file has a tokenizer of the kind ${JSON.stringify(model)}, which the studio does not read.`,
      'Choose the model’s safetensors folder.',
    );
  const vocabulary: Vocabulary = {
    tokens: listOf(said('tokens'), 'string', 'tokens', size),
    types: said('token_type') === undefined ? [] : listOf(said('token_type'), 'number', 'token_type', size),
    scores: said('scores') === undefined ? null : listOf(said('scores'), 'number', 'scores', size),
  };
  const idOf = (role: string): number | null => {
    const id = said(`${role}_token_id`);
    return typeof id === 'number' && id >= 0 && id < size ? id : null;
  };
  const pre = said('pre');
  const name = typeof pre === 'string' ? pre : 'default';
  const bosId = idOf('bos') ?? (model === 'llama' ? 1 : null);
  const usual = model === 'llama' || beginsByItself.includes(name);
  const putsBegin = bosId !== null && (said('add_bos_token') ?? usual) === true;
  const begin = putsBegin ? { id: bosId, token: vocabulary.tokens[bosId]! } : null;
  const merges = said('merges');
  const tokenizer =
    model === 'gpt2'
      ? byteTokenizer(vocabulary, name, listOf(merges, 'string', 'merges', null))
      : pieceTokenizer(vocabulary, said('add_space_prefix') !== false);
  const eosId = idOf('eos') ?? (model === 'llama' ? 2 : null);
  const named = vocabulary.tokens.flatMap((token, id) =>
    endNames.includes(token) && vocabulary.types[id] === tokenTypes.control ? [id] : [],
  );
  const ends = [eosId, idOf('eot'), ...named].filter((id) => id !== null);
  const roles = { bos: bosId, eos: eosId, unk: idOf('unknown'), pad: idOf('padding') };
  const template = file.metadata.get('tokenizer.chat_template');
  return {
    tokenizer: { version: '1.0', ...tokenizer, post_processor: begin && beginTemplate(begin) },
    config: {
      tokenizer_class: 'PreTrainedTokenizerFast',
      ...Object.fromEntries(
        Object.entries(roles).flatMap(([role, id]) =>
          id === null ? [] : [[`${role}_token`, vocabulary.tokens[id]!]],
        ),
      ),
      clean_up_tokenization_spaces: false,
      ...(typeof template === 'string' && template !== '' && { chat_template: template }),
    },
    endIds: [...new Set(ends)],
  };
}

function listOf<K extends 'string' | 'number'>(
  value: unknown,
  kind: K,
  key: string,
  size: number | null,
): (K extends 'string' ? string : number)[] {
  const list = Array.isArray(value) ? (value as unknown[]) : null;
  const isRight =
    list !== null && (size === null || list.length >= size) && list.every((entry) => typeof entry === kind);
  if (!isRight)
    throw new StudioError(
      'model_invalid',
      `The GGUF file has no list of ${size === null ? '' : `at least ${size} `}${kind}s as tokenizer.ggml.${key}.`,
      'Take the file from its source once more, or another one of the same model.',
    );
  return (size === null ? list : list.slice(0, size)) as (K extends 'string' ? string : number)[];
}

/** Tokens that are cut out of texts whole, and the others by their ids. */
function parted({ tokens, types }: Vocabulary): { added: Json[]; vocab: Record<string, number> } {
  const added: Json[] = [];
  // Without a prototype: a token may be called "constructor".
  const vocab = Object.create(null) as Record<string, number>;
  tokens.forEach((content, id) => {
    const type = types[id] ?? tokenTypes.normal;
    const isControl = type === tokenTypes.control;
    if (type === tokenTypes.unused) return;
    if (isControl || type === tokenTypes.userDefined || type === tokenTypes.unknown)
      added.push({
        id,
        content,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: type !== tokenTypes.userDefined,
      });
    if (type !== tokenTypes.userDefined && !isControl) vocab[content] = id;
  });
  return { added, vocab };
}

function byteTokenizer(vocabulary: Vocabulary, pre: string, merges: readonly string[]): Json {
  const { added, vocab } = parted(vocabulary);
  const isWhole = ['llama-bpe', 'llama3', 'llama-v3', 'tekken'].includes(pre);
  return {
    added_tokens: added,
    // Qwen's own tokenizer composes letters first, which llama.cpp leaves to others.
    normalizer: pre === 'qwen2' ? { type: 'NFC' } : null,
    pre_tokenizer: preTokenizerOf(pre),
    decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      unk_token: null,
      byte_fallback: false,
      ignore_merges: isWhole,
      vocab,
      merges: merges.map((merge) => {
        const at = merge.indexOf(' ', 1);
        return [merge.slice(0, at), merge.slice(at + 1)];
      }),
    },
  };
}

/** Merges as sentencepiece's scores order them: every cut of a piece into two others, the best piece first. */
function pieceTokenizer(vocabulary: Vocabulary, hasSpacePrefix: boolean): Json {
  const { tokens, types, scores } = vocabulary;
  const { added, vocab } = parted(vocabulary);
  const unknown = types.indexOf(tokenTypes.unknown);
  const isPiece = (id: number) => (types[id] ?? tokenTypes.normal) === tokenTypes.normal;
  const pieces = tokens.flatMap((token, id) => (isPiece(id) && token.length > 1 ? [id] : []));
  const scoreOf = (id: number) => scores?.[id] ?? -id;
  pieces.sort((a, b) => scoreOf(b) - scoreOf(a) || a - b);
  const merges = pieces.flatMap((id) => {
    const token = tokens[id]!;
    const cuts: { left: string; right: string; at: readonly [number, number] }[] = [];
    for (let i = 1; i < token.length; i++) {
      const [left, right] = [token.slice(0, i), token.slice(i)];
      const at = [vocab[left], vocab[right]];
      if (at[0] === undefined || at[1] === undefined || !isPiece(at[0]) || !isPiece(at[1])) continue;
      cuts.push({ left, right, at: [at[0], at[1]] });
    }
    cuts.sort((a, b) => a.at[0] - b.at[0] || a.at[1] - b.at[1]);
    return cuts.map(({ left, right }) => [left, right]);
  });
  const spaces = { type: 'Replace', pattern: { String: ' ' }, content: spaceMark };
  return {
    added_tokens: added,
    normalizer: {
      type: 'Sequence',
      normalizers: [...(hasSpacePrefix ? [{ type: 'Prepend', prepend: spaceMark }] : []), spaces],
    },
    pre_tokenizer: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: spaceMark }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(hasSpacePrefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: {
      type: 'BPE',
      unk_token: unknown < 0 ? null : tokens[unknown],
      fuse_unk: true,
      byte_fallback: types.includes(tokenTypes.byte),
      ignore_merges: false,
      vocab,
      merges,
    },
  };
}

function beginTemplate({ id, token }: { id: number; token: string }): Json {
  const special = { SpecialToken: { id: token, type_id: 0 } };
  const sequence = (name: string) => ({ Sequence: { id: name, type_id: 0 } });
  return {
    type: 'TemplateProcessing',
    single: [special, sequence('A')],
    pair: [special, sequence('A'), special, sequence('B')],
    special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
  };
}
