import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { StudioError } from '../contract/errors.ts';
import type { MixAmount, MixRecipe } from '../contract/mixing/mixes.ts';

/** A mix as another program's file describes it: its sources are names or paths, to be found in the library. */
export interface MixDocument {
  /** The program whose words were read. */
  from: string;
  parts: { name: string; amount: MixAmount | null }[];
  rules: Pick<MixRecipe, 'unit' | 'stop' | 'size'> & { seed?: number };
}

/** What a bare number is to mean where the file leaves it open (`number_ambiguous`). */
export type NumberMeaning = 'weight' | 'epochs' | 'count';

const names = z.union([z.string().transform((list) => list.split(',')), z.array(z.string())]);
const numbers = z.union([
  z.string().transform((list) => list.split(',').map(Number)),
  z.array(z.number()),
  z.number().transform((one) => [one]),
]);
const amount = z.number().nonnegative().finite();

const llamaFactory = z.object({
  dataset: names,
  mix_strategy: z
    .enum(['concat', 'interleave_under', 'interleave_over', 'interleave_once'])
    .default('concat'),
  interleave_probs: numbers.optional(),
  seed: z.number().int().min(0).optional(),
});
const interleaved = z.object({
  datasets: z.array(z.string()),
  probabilities: z.array(amount).optional(),
  stopping_strategy: z
    .enum(['first_exhausted', 'all_exhausted', 'all_exhausted_without_replacement'])
    .default('first_exhausted'),
  seed: z.number().int().min(0).optional(),
});
const listed = z.object({
  datasets: z.array(
    z.object({
      path: z.string(),
      fraction: amount.optional(),
      weight: amount.optional(),
    }),
  ),
});
const mixer = z.object({ dataset_mixer: z.record(z.string(), amount) });
const streams = z.object({
  streams: z.record(
    z.string(),
    z.object({ proportion: amount.optional(), repeat: amount.optional(), choose: amount.optional() }),
  ),
  epoch_size: z.number().int().positive().optional(),
});

/**
 * Reads the mixing of LLaMA-Factory (`mix_strategy`, `interleave_probs`), Hugging Face datasets (`probabilities`,
 * `stopping_strategy`), TRL (`fraction`), axolotl and others (`weight`), open-instruct (`dataset_mixer`) and Mosaic
 * Streaming (`streams` with `proportion`, `repeat`, `choose`). All of them count rows.
 * @param text of the file, YAML or JSON
 * @param meaning of numbers that the file leaves open; absent: they are refused, with the choice
 * @throws StudioError config_invalid, number_ambiguous
 */
export function readMixDocument(text: string, meaning?: NumberMeaning): MixDocument {
  let value: unknown;
  try {
    value = parseYaml(text, { maxAliasCount: 0 });
  } catch (error) {
    throw invalid(
      `The file is neither YAML nor JSON: ${error instanceof Error ? error.message : String(error)}.`,
      'Correct the file.',
    );
  }
  const keys = Object.keys(z.record(z.string(), z.unknown()).safeParse(value).data ?? {});
  const has = (key: string) => keys.includes(key);
  if (has('streams')) return ofStreams(parse(streams, value));
  if (has('dataset_mixer')) return ofMixer(parse(mixer, value).dataset_mixer, meaning);
  if (has('mix_strategy') || has('interleave_probs') || has('dataset'))
    return ofLlamaFactory(parse(llamaFactory, value));
  if (has('probabilities') || has('stopping_strategy')) return ofInterleaved(parse(interleaved, value));
  if (has('datasets')) return ofList(parse(listed, value).datasets, meaning);
  throw invalid(
    `The file describes no mix: it has the keys ${keys.slice(0, 10).join(', ') || '(none)'}.`,
    'Known are mix_strategy with interleave_probs, probabilities with stopping_strategy, datasets with fraction or weight, dataset_mixer, and streams.',
  );
}

const stops = {
  interleave_under: 'first',
  interleave_over: 'all',
  interleave_once: 'once',
  concat: 'once',
} as const;

function ofLlamaFactory({
  dataset,
  mix_strategy: strategy,
  interleave_probs: probabilities,
  seed,
}: z.infer<typeof llamaFactory>): MixDocument {
  const weights = strategy === 'concat' ? undefined : probabilities;
  return {
    from: 'LLaMA-Factory',
    parts: weighted(
      dataset,
      strategy === 'concat' ? undefined : (weights ?? dataset.map(() => 1)),
      'interleave_probs',
    ),
    rules: { unit: 'rows', stop: stops[strategy], size: null, ...(seed !== undefined && { seed }) },
  };
}

function ofInterleaved({
  datasets,
  probabilities,
  stopping_strategy: strategy,
  seed,
}: z.infer<typeof interleaved>): MixDocument {
  return {
    from: 'Hugging Face datasets',
    parts: weighted(datasets, probabilities ?? datasets.map(() => 1), 'probabilities'),
    rules: {
      unit: 'rows',
      stop: strategy === 'first_exhausted' ? 'first' : strategy === 'all_exhausted' ? 'all' : 'once',
      size: null,
      ...(seed !== undefined && { seed }),
    },
  };
}

function ofList(list: z.infer<typeof listed>['datasets'], meaning: NumberMeaning | undefined): MixDocument {
  if (list.some(({ fraction }) => fraction !== undefined))
    // Fractions are shares, and no source is taken more than once.
    return {
      from: 'TRL',
      parts: list.map(({ path, fraction }) => ({
        name: path,
        amount: { by: 'weight', value: fraction ?? 1 },
      })),
      rules: { unit: 'rows', stop: 'first', size: null },
    };
  if (list.every(({ weight }) => weight === undefined))
    return {
      from: 'a list of datasets',
      parts: list.map(({ path }) => ({ name: path, amount: null })),
      rules: { unit: 'rows', stop: 'once', size: null },
    };
  const by = decided(meaning, list.find(({ weight }) => weight !== undefined)!.weight!, 'weight');
  return {
    from: 'a list with weights',
    parts: list.map(({ path, weight = 1 }) => ({ name: path, amount: { by, value: weight } })),
    rules: { unit: 'rows', stop: 'all', size: null },
  };
}

function ofMixer(given: Record<string, number>, meaning: NumberMeaning | undefined): MixDocument {
  const parts = Object.entries(given).map(([name, value]) => ({
    name,
    amount: {
      // A part of 1 cannot be told from one row: JSON knows no difference between 1 and 1.0.
      by:
        value > 0 && value < 1
          ? ('epochs' as const)
          : value > 1
            ? ('count' as const)
            : decided(meaning, value, name),
      value,
    },
  }));
  return { from: 'open-instruct', parts, rules: { unit: 'rows', stop: 'all', size: null } };
}

function ofStreams({ streams: given, epoch_size }: z.infer<typeof streams>): MixDocument {
  const size = epoch_size ?? null;
  const parts = Object.entries(given).map(([name, { proportion, repeat, choose }]) => {
    const found: MixAmount[] = [
      ...(proportion === undefined ? [] : [{ by: 'weight' as const, value: proportion }]),
      ...(repeat === undefined ? [] : [{ by: 'epochs' as const, value: repeat }]),
      ...(choose === undefined ? [] : [{ by: 'count' as const, value: choose }]),
    ];
    if (found.length > 1)
      throw invalid(
        `The stream "${name}" has more than one of proportion, repeat and choose.`,
        'Give one of them.',
      );
    return { name, amount: found[0] ?? ({ by: 'epochs', value: 1 } satisfies MixAmount) };
  });
  const isRelative = parts.some(({ amount }) => amount.by === 'weight');
  return {
    from: 'Mosaic Streaming',
    parts,
    rules: {
      unit: 'rows',
      stop: size !== null && isRelative ? 'size' : 'all',
      size: isRelative ? size : null,
    },
  };
}

function weighted(
  list: readonly string[],
  weights: readonly number[] | undefined,
  key: string,
): MixDocument['parts'] {
  if (weights && (weights.length !== list.length || weights.some((value) => !(value >= 0))))
    throw invalid(
      `There are ${list.length} datasets and ${weights.length} numbers in ${key}.`,
      'Give each dataset a number, 0 or more.',
    );
  return list.map((name, i) => ({
    name: name.trim(),
    amount: weights ? { by: 'weight', value: weights[i]! } : null,
  }));
}

function decided(meaning: NumberMeaning | undefined, value: number, key: string): NumberMeaning {
  if (meaning) return meaning;
  throw new StudioError(
    'number_ambiguous',
    `The number ${value} of "${key}" could be a relative weight, a part or multiple of the source, or a number of rows.`,
    'Say which: by weight, by epochs or by count.',
  );
}

function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  throw invalid(`${path.join('.') || 'The file'}: ${message}.`, 'Correct the file.');
}

function invalid(message: string, remedy: string): StudioError {
  return new StudioError('config_invalid', message, remedy);
}
