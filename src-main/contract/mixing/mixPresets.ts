import type { MixRecipe } from './mixes.ts';

/** A mix that is known by its name; which datasets of the library its parts are is asked. */
export interface MixPreset {
  id: 'multi_task' | 'saferpaca';
  title: string;
  /** Where it is from, and how it is meant. */
  source: string;
  parts: readonly {
    /** What is asked for. */
    label: string;
    /** Names and paths that are probably meant. */
    pattern: RegExp;
    amount: MixRecipe['sources'][number]['amount'];
  }[];
  rules: Pick<MixRecipe, 'unit' | 'stop'>;
}

export const mixPresets: readonly MixPreset[] = [
  {
    id: 'multi_task',
    title: 'Multi-task: Alpaca + GSM8K + half of CodeAlpaca',
    source:
      'ID-LoRA paper, multi-task fine-tuning: the training sets of Alpaca and GSM8K whole, and half of CodeAlpaca.',
    parts: [
      { label: 'Alpaca', pattern: /(?<!code[ _-]?)alpaca/i, amount: { by: 'epochs', value: 1 } },
      { label: 'GSM8K (train)', pattern: /gsm8k/i, amount: { by: 'epochs', value: 1 } },
      { label: 'CodeAlpaca', pattern: /code[ _-]?alpaca/i, amount: { by: 'epochs', value: 0.5 } },
    ],
    rules: { unit: 'rows', stop: 'all' },
  },
  {
    id: 'saferpaca',
    title: 'Saferpaca: Alpaca with safety instructions',
    source:
      'Bianchi et al., Safety-Tuned LLaMAs, as the ID-LoRA paper trains it: cleaned Alpaca extended by 2,000 safety instructions.',
    parts: [
      { label: 'Alpaca', pattern: /(?<!code[ _-]?)alpaca/i, amount: { by: 'epochs', value: 1 } },
      { label: 'Safety instructions', pattern: /safe/i, amount: { by: 'count', value: 2000 } },
    ],
    rules: { unit: 'rows', stop: 'all' },
  },
];

/** Words of names of parts that are there to be scored. */
const scoredSplit = /(?:^|[^a-z])(?:test|valid|validation|dev|eval|evaluation)(?:[^a-z]|$)/i;

/**
 * The datasets of a library that are probably meant by the parts of a preset: by name before path, those that are named
 * as test sets last, of several the one with the shortest name. A dataset stands for one part.
 * @returns the id for each part; null: the library has none
 */
export function presetDatasets(
  { parts }: MixPreset,
  datasets: readonly { id: string; name: string; sourcePath: string }[],
): (string | null)[] {
  const taken = new Set<string>();
  return parts.map(({ pattern }) => {
    const ranked = datasets
      .filter(
        ({ id, name, sourcePath }) => !taken.has(id) && (pattern.test(name) || pattern.test(sourcePath)),
      )
      .map(({ id, name, sourcePath }) => ({
        id,
        rank:
          (pattern.test(name) ? 0 : 2) +
          (scoredSplit.test(name) || scoredSplit.test(fileOf(sourcePath)) ? 1 : 0),
        length: name.length,
      }))
      .sort((a, b) => a.rank - b.rank || a.length - b.length);
    const found = ranked[0]?.id ?? null;
    if (found !== null) taken.add(found);
    return found;
  });
}

function fileOf(path: string): string {
  return path.split(/[/\\]/).at(-1)!;
}
