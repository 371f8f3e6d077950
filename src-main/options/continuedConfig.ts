import { trainConfigSchema, type TrainConfig } from '../contract/training.ts';
import { StudioError } from '../contract/errors.ts';
import { impossible } from '../methods/method.ts';

/**
 * A checkpoint's parameters, its optimizer's state and the rows that come next belong to these
 * (engine/training/trainingState.ts).
 */
const fixedOptions = [
  'batch',
  'accumulate',
  'context',
  'packing',
  'seed',
  'precision',
  'loadIn8bit',
  'optimizer',
  'heldOutFraction',
] as const satisfies readonly (keyof TrainConfig)[];

/**
 * The configuration of a run that goes on from a checkpoint with other values.
 *
 * @param who goes on: the run itself, resumed, or a branch of it
 * @param changes option -> value; of the adapter's options only those that are given
 * @throws StudioError usage for a value out of range; config_invalid naming what cannot be changed
 */
export function continuedConfig(
  config: TrainConfig,
  changes: Record<string, unknown>,
  who: 'A branch' | 'A resumed run',
): TrainConfig {
  const unknown = Object.keys(changes).filter((key) => !Object.hasOwn(trainConfigSchema.shape, key));
  if (unknown.length > 0) throw fixed(who, unknown.join(', '));
  const adapter = { ...config.adapter, ...(changes['adapter'] as object | undefined) };
  const parsed = trainConfigSchema.safeParse({ ...config, ...changes, adapter });
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new StudioError('usage', `${issue.path.join('.')}: ${issue.message}.`, 'Correct the value.');
  }
  const wanted = parsed.data;
  const changed = [
    ...differences(
      config.adapter,
      wanted.adapter,
      Object.keys(config.adapter) as (keyof TrainConfig['adapter'])[],
    ),
    ...differences(config, wanted, fixedOptions),
    // Without momentum SGD has no state to go on from, with it one.
    ...(config.momentum > 0 === wanted.momentum > 0
      ? []
      : [`momentum (${config.momentum} to ${wanted.momentum})`]),
  ];
  if (changed.length > 0) throw fixed(who, changed.join(', '));
  return wanted;
}

function differences<T extends object>(before: T, after: T, keys: readonly (keyof T & string)[]): string[] {
  return keys
    .filter((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]))
    .map((key) => `${key} (${JSON.stringify(before[key])} to ${JSON.stringify(after[key])})`);
}

function fixed(who: string, what: string): StudioError {
  return impossible(
    `${who} cannot change ${what}: the checkpoint’s parameters, its optimizer state and the order of its rows belong to it.`,
    'Start a new run with that value, or change only rates, lengths, evaluation and checkpoints.',
  );
}
