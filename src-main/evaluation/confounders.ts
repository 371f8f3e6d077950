import type { Run } from '../contract/entities.ts';
import { quantizationOf, type TrainConfig } from '../contract/training.ts';

/** What two subjects were made of, as far as it can differ without their method: a run, or null for the base model. */
type Trained = Pick<
  Run,
  'name' | 'datasetId' | 'datasetName' | 'config' | 'step' | 'best' | 'dataContract' | 'start' | 'imported'
>;

/** The model that a subject was made from or is, as it was when it was scored. */
export interface ScoredBase {
  /** Of its entry in the library: one model may have two, and an entry's folder may change. */
  modelId: string;
  name: string;
  /** Hash of all that decides the score (formats/model/identity.ts); null: not kept. */
  hash: string | null;
}

/** What two subjects are told apart by. */
export interface Compared {
  /** Null: the base model, or an adapter from elsewhere. */
  run: Trained | null;
  base: ScoredBase;
}

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
  {
    name: 'data',
    // The contract holds what was read; a run from before it had one is told apart by the dataset.
    value: ({ dataContract, datasetId }) => dataContract?.datasetHash ?? datasetId,
    words: ({ datasetName }) => datasetName,
  },
  {
    name: 'start',
    value: ({ start }) => (start ? `${start.runId} ${start.step}` : 'fresh'),
    words: ({ start }) =>
      start ? `the adapter of ${start.runName} at step ${start.step}` : 'a fresh adapter',
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
  {
    name: 'base weights',
    value: ({ config }) => quantizationOf(config),
    words: ({ config }) =>
      ({ none: 'as stored', int8: 'in 8 bits', nf4: 'in 4 bits (NF4)' })[quantizationOf(config)],
  },
];

/** Options that are told by a trait above, or change nothing of what is learned. */
const leftOut: ReadonlySet<keyof TrainConfig> = new Set([
  'adapter',
  'batch',
  'accumulate',
  'seed',
  'context',
  'loadIn8bit',
  'loadIn4bit',
  'epochs',
  'maxSteps',
  'gradientCheckpointing',
  'heldOutRows',
  'evalEvery',
  'checkpointEvery',
  'samples',
]);

/**
 * What else than the method tells two subjects apart, each as `name: b's against a's`: any of it may be the reason of a
 * difference. Of the base model, which was not trained, no more than that it is another.
 */
export function confounders(a: Compared, b: Compared): string[] {
  const bases = baseConfounders(a.base, b.base);
  return a.run && b.run ? [...bases, ...trainingConfounders(a.run, b.run)] : bases;
}

/** Identity decides, names tell. */
function baseConfounders(a: ScoredBase, b: ScoredBase): string[] {
  const isSame = a.hash !== null && b.hash !== null ? a.hash === b.hash : a.modelId === b.modelId;
  if (isSame) return [];
  const told =
    a.name === b.name
      ? `another state of ${a.name}, or another of the same name`
      : `${b.name} against ${a.name}`;
  return [`base model: ${told}`];
}

function trainingConfounders(a: Trained, b: Trained): string[] {
  const foreign = [a, b].filter(({ imported }) => imported !== null).map(({ name }) => name);
  if (foreign.length > 0)
    return [`training: rows and settings of ${foreign.join(' and ')} are not known, trained elsewhere`];
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

/** The seed of a training; none where nothing was trained here. */
export function seedsOf(run: Pick<Trained, 'config' | 'imported'> | null | undefined): number[] {
  return run && !run.imported ? [run.config.seed] : [];
}

/** Whether two subjects are one setting, trained with two seeds. What follows from the seed is no other setting. */
export function differBySeedAlone(a: Compared, b: Compared): boolean {
  if (!a.run || !b.run || a.run.imported || b.run.imported) return false;
  if (a.run.config.seed === b.run.config.seed) return false;
  if (baseConfounders(a.base, b.base).length > 0) return false;
  const setting = ({ config, dataContract, datasetId, start }: Trained) =>
    JSON.stringify([
      Object.entries(config)
        .filter(([name]) => name !== 'seed')
        .sort(([first], [second]) => (first < second ? -1 : 1)),
      dataContract?.datasetHash ?? datasetId,
      start,
    ]);
  return setting(a.run) === setting(b.run);
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
