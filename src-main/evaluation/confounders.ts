import type { Run } from '../contract/entities.ts';
import type { TrainConfig } from '../contract/training.ts';

/** What two subjects were made of, as far as it can differ without their method: a run, or null for the base model. */
type Trained = Pick<
  Run,
  'name' | 'modelId' | 'modelName' | 'datasetId' | 'datasetName' | 'config' | 'step' | 'best' | 'dataContract'
>;

/** A way in which two runs can differ: its name, what is compared, and how that is told. */
interface Trait {
  name: string;
  value: (run: Trained) => unknown;
  words?: (run: Trained) => string;
}

/** Steps behind the state that is scored. */
function trainedSteps({ config, best, step }: Trained): number {
  return config.keepBest && best ? best.step : step;
}

const traits: readonly Trait[] = [
  { name: 'base model', value: ({ modelId }) => modelId, words: ({ modelName }) => modelName },
  {
    name: 'data',
    // The contract holds what was read; a run from before it had one is told apart by the dataset.
    value: ({ dataContract, datasetId }) => dataContract?.datasetHash ?? datasetId,
    words: ({ datasetName }) => datasetName,
  },
  { name: 'trained rows', value: ({ dataContract }) => dataContract?.trainRows ?? null },
  { name: 'steps', value: trainedSteps },
  {
    name: 'rows a step',
    value: ({ config }) => config.batch * config.accumulate,
    words: ({ config }) => `${config.batch} x ${config.accumulate}`,
  },
  { name: 'seed', value: ({ config }) => config.seed },
  {
    name: 'context',
    value: ({ config }) => config.context,
    words: ({ config }) => `${config.context} tokens`,
  },
];

/** Options that are told by a trait above, or change nothing of what is learned. */
const leftOut: ReadonlySet<keyof TrainConfig> = new Set([
  'adapter',
  'batch',
  'accumulate',
  'seed',
  'context',
  'epochs',
  'maxSteps',
  'gradientCheckpointing',
  'heldOutRows',
  'evalEvery',
  'checkpointEvery',
  'samples',
]);

/**
 * What else than the method tells two trained adapters apart, each as `name: b's against a's`: any of it may be the
 * reason of a difference. Empty where one of them is the base model, which was not trained.
 */
export function confounders(a: Trained | null, b: Trained | null): string[] {
  if (!a || !b) return [];
  const found = traits.flatMap(({ name, value, words }) => {
    const [mine, theirs] = [value(a), value(b)];
    if (mine === theirs || mine === null || theirs === null) return [];
    const shown = (run: Trained) => (words ?? ((one: Trained) => String(value(one))))(run);
    const same = shown(a) === shown(b);
    return [same ? `${name}: another of the same name` : `${name}: ${shown(b)} against ${shown(a)}`];
  });
  // Whatever is added to the configuration later is compared, too.
  const names = [...new Set([...Object.keys(a.config), ...Object.keys(b.config)])] as (keyof TrainConfig)[];
  const options = names.flatMap((name) => {
    const [mine, theirs] = [a, b].map(({ config }) => JSON.stringify(config[name] ?? null));
    if (leftOut.has(name) || mine === theirs) return [];
    const words = name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
    return [`${words}: ${theirs!.replaceAll('"', '')} against ${mine!.replaceAll('"', '')}`];
  });
  return [...found, ...options];
}

/**
 * Why the losses of a comparison are not those of the run pages; null where they are held-out rows of no run.
 * @param contextLength of the model, up to which answers are scored
 */
export function lossFigures(runs: readonly Trained[], contextLength: number): string | null {
  if (runs.length === 0) return null;
  const contexts = [...new Set(runs.map(({ config }) => config.context))];
  const cut = contexts.some((context) => context < contextLength)
    ? ` Rows are scored here up to the model's ${contextLength} tokens, there up to the training's ${contexts.join(' and ')}.`
    : '';
  return `The held-out loss of a run's page is a mean over tokens; a comparison takes the mean over items, so that each item counts alike.${cut}`;
}
