import { StudioError } from '../contract/errors.ts';
import { trainConfigSchema, type TrainConfig } from '../contract/training.ts';
import { impossible } from '../methods/method.ts';
import { optionPath } from './optionText.ts';
import {
  baseSwitches,
  flatten,
  isAdapterOption,
  optionDefaults,
  optionNames,
  pathOf,
  type OptionName,
  type RunOptionName,
} from './trainingOptions.ts';

/**
 * What a run that goes on from a checkpoint may change. `free`: the option acts on the steps to come. `fixed`: the
 * checkpoint's parameters, its optimizer's state or the rows that come next belong to it. `presence`: its value is
 * free, but whether it is above 0 is not. All options of the adapter are fixed.
 *
 * The checks below and the fingerprint of a checkpoint (engine/training/trainingState.ts) both read this table.
 */
const continuations: Readonly<Record<RunOptionName, 'free' | 'fixed' | 'presence'>> = {
  learningRate: 'free',
  schedule: 'free',
  warmupSteps: 'free',
  minLearningRateRatio: 'free',
  decaySteps: 'free',
  polynomialPower: 'free',
  epochs: 'free',
  maxSteps: 'free',
  batch: 'fixed',
  accumulate: 'fixed',
  context: 'fixed',
  template: 'fixed',
  templateSource: 'fixed',
  system: 'fixed',
  trainOn: 'fixed',
  truncation: 'fixed',
  packing: 'fixed',
  gradientCheckpointing: 'free',
  seed: 'fixed',
  precision: 'fixed',
  tf32: 'fixed',
  baseWeights: 'fixed',
  optimizer: 'fixed',
  // Without momentum SGD has no state to go on from.
  momentum: 'presence',
  loraPlusRatio: 'free',
  weightDecay: 'free',
  beta1: 'free',
  beta2: 'free',
  epsilon: 'free',
  clipNorm: 'free',
  heldOutFraction: 'fixed',
  heldOutRows: 'free',
  evalEvery: 'free',
  checkpointEvery: 'free',
  earlyStoppingPatience: 'free',
  keepBest: 'free',
  samples: 'free',
};

/**
 * What has to stay as it is when a run goes on from a checkpoint. Options at their defaults are left out, so that a
 * later version with more options finds the same for an old run.
 */
export function keptOptions(config: TrainConfig): Readonly<Record<string, unknown>> {
  const flat = flatten(config);
  const kept: Record<string, unknown> = {};
  for (const name of optionNames) {
    const continuation = isAdapterOption(name) ? 'fixed' : continuations[name as RunOptionName];
    if (continuation === 'free' || isSame(flat[name], optionDefaults[name])) continue;
    // Under the switch's name, as in the fingerprints that there are.
    const base = name === 'baseWeights' && baseSwitches.find(({ chosen }) => chosen === flat.baseWeights);
    if (base) kept[base.name] = true;
    else kept[name] = continuation === 'presence' ? Number(flat[name]) > 0 : flat[name];
  }
  return kept;
}

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
  if (unknown.length > 0) throw fixed(who, unknown.join(', '), []);
  const adapter = { ...config.adapter, ...(changes['adapter'] as object | undefined) };
  const parsed = trainConfigSchema.safeParse({ ...config, ...changes, adapter });
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!;
    throw new StudioError('usage', `${path.join('.')}: ${message}.`, 'Correct the value.', {
      option: optionPath(path),
    });
  }
  const [before, after] = [keptOptions(config), keptOptions(parsed.data)];
  const [old, wanted] = [flatten(config), flatten(parsed.data)];
  const changed = optionNames.filter((name) =>
    name === 'baseWeights' ? old[name] !== wanted[name] : !isSame(before[name], after[name]),
  );
  if (changed.length > 0) {
    const texts = changed.flatMap((name) => {
      const values = (from: unknown, to: unknown) => `(${JSON.stringify(from)} to ${JSON.stringify(to)})`;
      if (name !== 'baseWeights') return `${name} ${values(old[name], wanted[name])}`;
      // By the names that configurations and commands have.
      return baseSwitches
        .map((one) => ({ ...one, from: old[name] === one.chosen, to: wanted[name] === one.chosen }))
        .filter(({ from, to }) => from !== to)
        .map(({ name: own, from, to }) => `${own} ${values(from, to)}`);
    });
    throw fixed(who, texts.join(', '), changed);
  }
  return parsed.data;
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function fixed(who: string, what: string, [option, ...others]: readonly OptionName[]): StudioError {
  return impossible(
    `${who} cannot change ${what}: the checkpoint’s parameters, its optimizer state and the order of its rows belong to it.`,
    'Start a new run with that value, or change only rates, lengths, evaluation and checkpoints.',
    option !== undefined && others.length === 0 ? pathOf(option) : undefined,
  );
}
