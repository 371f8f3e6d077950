import { optionWords } from '../../../../src-main/options/optionText.ts';
import type { TrainConfig } from '../../../../src-main/contract/training.ts';
import {
  flatten,
  isAdapterOption,
  mattering,
  optionDefaults,
  type OptionName,
} from '../../../../src-main/options/trainingOptions.ts';

export interface CommandNames {
  run: string;
  model: string;
  dataset: string;
  /** The run whose adapter is trained on; absent: a fresh one. */
  from?: string | undefined;
}

/** What people look for in a command even where it is as usual. */
const alwaysWritten: readonly OptionName[] = [
  'method',
  'rank',
  'alpha',
  'learningRate',
  'batch',
  'context',
  'seed',
];

/**
 * The words behind `train` that do what a configuration says: what is not as usual, and the main options. Where an
 * adapter is trained on, its own options are the usual ones, and the way in which its base is kept: all are said.
 */
export function commandArguments(config: TrainConfig, names: CommandNames): string[] {
  const flat = flatten(config);
  const isOfAdapter = (name: OptionName) => isAdapterOption(name) || name === 'baseWeights';
  const options = mattering(flat).filter((name) => {
    if (name === 'maxSteps') return flat.maxSteps !== null;
    return (
      name === 'epochs' ||
      (names.from !== undefined && isOfAdapter(name)) ||
      alwaysWritten.includes(name) ||
      JSON.stringify(flat[name]) !== JSON.stringify(optionDefaults[name])
    );
  });
  return [
    ...(names.from === undefined ? [] : ['--from', names.from]),
    ...['--model', names.model, '--data', names.dataset],
    ...options.flatMap((name) => optionWords(name, flat[name])),
    ...['--name', names.run],
  ];
}

/**
 * The command line that does what the form will do, for a shell.
 * @param call how the command line of the installation is called; null: unknown, and its bare name stands there
 */
export function commandLine(config: TrainConfig, names: CommandNames, call: string | null): string {
  const words = commandArguments(config, names).map((word) =>
    /^[\w.,/+=-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`,
  );
  return `${call ?? 'id-lora-studio-cli'} train ${words.join(' ')}`;
}
