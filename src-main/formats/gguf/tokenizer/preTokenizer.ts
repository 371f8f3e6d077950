import { StudioError } from '../../../contract/errors.ts';

/**
 * Into which words byte-level tokenizers split texts before they merge bytes. llama.cpp has no such rules in its files
 * but a name for each (llama-vocab.cpp), and the names are what GGUF knows.
 */

/** Llama 3's rule, with as many digits in a word as are asked for. */
const words = (digits: string) =>
  String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}${digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
const tekkenWords = String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`;

type Json = Readonly<Record<string, unknown>>;

/** The steps of tokenizer.json that a name stands for; GPT-2's own rule belongs to the step ByteLevel. */
type Step = { split: string } | { digits: true } | { bytes: 'with words' | 'alone' };

const bytesAlone: Step = { bytes: 'alone' };
const bytesWithWords: Step = { bytes: 'with words' };

/**
 * Names with their steps. Of several names for the same rule the first is written, which leaves decoded texts as they
 * are: under `gpt-2` llama.cpp takes the space before punctuation away.
 */
const known: readonly { name: string; steps: readonly Step[] }[] = [
  { name: 'llama-bpe', steps: [{ split: words('{1,3}') }, bytesAlone] },
  { name: 'qwen2', steps: [{ split: words('') }, bytesAlone] },
  { name: 'tekken', steps: [{ split: tekkenWords }, bytesAlone] },
  { name: 'smollm', steps: [{ digits: true }, bytesWithWords] },
  { name: 'trillion', steps: [bytesWithWords] },
  { name: 'gpt-2', steps: [bytesWithWords] },
];
/** Other names under which files of others have the same rules. */
const aliases: Readonly<Record<string, string>> = {
  llama3: 'llama-bpe',
  'llama-v3': 'llama-bpe',
  dbrx: 'llama-bpe',
  'smaug-bpe': 'llama-bpe',
  'deepseek-r1-qwen': 'qwen2',
  refact: 'smollm',
  starcoder: 'smollm',
  'granite-docling': 'gpt-2',
};

/** llama.cpp's name for how a byte-level tokenizer splits. @throws StudioError model_unsupported: it has none */
export function preTokenizerName(tokenizer: Json): string {
  const model = (tokenizer['model'] ?? {}) as Json;
  // Without merges every byte stands alone, however the text is split.
  if (Array.isArray(model['merges']) && model['merges'].length === 0) return 'trillion';
  const steps = JSON.stringify(stepsOf(tokenizer['pre_tokenizer']));
  const found = known.find((entry) => JSON.stringify(entry.steps) === steps);
  if (found) return found.name;
  throw new StudioError(
    'model_unsupported',
    `llama.cpp has no name for how this tokenizer splits texts: ${steps.slice(0, 300)}.`,
    'Export the Hugging Face folder, or the adapter as GGUF for a base that others have converted.',
  );
}

function stepsOf(value: unknown): unknown[] {
  const step = (value ?? {}) as Json;
  switch (step['type']) {
    case 'Sequence':
      return ((step['pretokenizers'] ?? []) as unknown[]).flatMap(stepsOf);
    case 'Split': {
      const { Regex } = (step['pattern'] ?? {}) as { Regex?: unknown };
      const isPlain = step['behavior'] === 'Isolated' && step['invert'] !== true;
      return [isPlain && typeof Regex === 'string' ? { split: Regex } : step];
    }
    case 'Digits':
      return [step['individual_digits'] === true ? { digits: true } : step];
    case 'ByteLevel':
      if (step['add_prefix_space'] === true) return [step];
      return [{ bytes: step['use_regex'] === false ? 'alone' : 'with words' }];
    default:
      return [step];
  }
}

/** The steps of tokenizer.json for llama.cpp's name. @throws StudioError model_unsupported for one that is not known */
export function preTokenizerOf(name: string): Json {
  const own = known.find((entry) => entry.name === (aliases[name] ?? name));
  if (!own)
    throw new StudioError(
      'model_unsupported',
      `The GGUF file splits texts as ${JSON.stringify(name)}, which the studio does not know.`,
      `Take the model's own folder from the Hub. Known are ${[...known.map((entry) => entry.name), ...Object.keys(aliases)].join(', ')}.`,
    );
  const pretokenizers = own.steps.map((step): Json => {
    if ('split' in step)
      return { type: 'Split', pattern: { Regex: step.split }, behavior: 'Isolated', invert: false };
    if ('digits' in step) return { type: 'Digits', individual_digits: true };
    const use_regex = step.bytes === 'with words';
    return { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex };
  });
  return { type: 'Sequence', pretokenizers };
}
