import { itemsForAccuracy, itemsForLoss, seedsFor, smallestDifference } from '../statistics/sampleSize.ts';
import { number, parseOptions, usageError, type Values } from './arguments.ts';
import { createOutput, formatCount } from './output.ts';

/**
 * samples --difference POINTS [--discordance 10 | --metric loss --scatter NATS] [--items N --seed-scatter S --power 80
 * --alpha 5]: test items and seeds with which a difference is seen
 */
export async function sampleSizeCommand(args: readonly string[]): Promise<void> {
  const values = parseOptions(args, {
    ...Object.fromEntries(
      ['difference', 'discordance', 'metric', 'scatter', 'items', 'seed-scatter', 'power', 'alpha'].map(
        (name) => [name, { type: 'string' } as const],
      ),
    ),
  });
  const isLoss = metricOf(values) === 'loss';
  const [unit, factor] = isLoss ? (['nats', 1] as const) : (['points', 0.01] as const);
  const within = (name: string, otherwise: number, least: number, most: number): number => {
    const value = number(values, name) ?? otherwise;
    if (!(value > least && value <= most))
      throw usageError(`--${name} ${value}: more than ${least}, at most ${most}.`);
    return value;
  };
  const most = isLoss ? 1000 : 100;
  const given = number(values, 'difference');
  const items = number(values, 'items');
  if (given === undefined && items === undefined) throw usageError('--difference is missing, or --items.');
  if (items !== undefined && (!Number.isInteger(items) || items < 1))
    throw usageError(`--items ${items}: a whole number, at least 1.`);
  const certainty = { power: within('power', 80, 5, 99.9) / 100, alpha: within('alpha', 5, 0, 50) / 100 };
  const discordance = isLoss ? null : within('discordance', 10, 0, 100) / 100;
  const scatter = isLoss ? within('scatter', 0.5, 0, 1000) : null;
  const seedScatter =
    number(values, 'seed-scatter') === undefined ? null : within('seed-scatter', 1, 0, most);
  const itemsFor = (difference: number) =>
    isLoss
      ? itemsForLoss(difference, scatter!, certainty)
      : itemsForAccuracy(difference, discordance!, certainty);
  const difference = given === undefined ? null : factor * within('difference', 1, 0, most);
  if (difference !== null && discordance !== null && difference > discordance)
    throw usageError(
      `--difference ${given}: two adapters that differ on ${100 * discordance} % of the items cannot differ by more points.`,
      'Raise --discordance, or ask for a smaller difference.',
    );
  const seeds =
    difference === null || seedScatter === null
      ? null
      : seedsFor(difference, factor * seedScatter, certainty);
  const needed = difference === null ? null : itemsFor(difference);
  const smallest =
    items === undefined ? null : smallestDifference(items, itemsFor, isLoss ? 1000 : discordance!);
  const result = {
    metric: isLoss ? 'loss' : 'accuracy',
    unit,
    difference: given ?? null,
    items: needed,
    seeds,
    ...(items !== undefined && {
      with: { items, smallestDifference: smallest === null ? null : smallest / factor },
    }),
    assumed: {
      ...(isLoss ? { scatter } : { discordance: 100 * discordance! }),
      ...(seedScatter === null ? {} : { seedScatter }),
      power: 100 * certainty.power,
      alpha: 100 * certainty.alpha,
    },
  };
  const scattering = isLoss
    ? `differences that scatter by ${scatter} nats from item to item`
    : `a discordance of ${100 * discordance!} %`;
  createOutput(values['json'] === true).result(result, () =>
    [
      ...(difference === null
        ? []
        : [
            needed === null
              ? `No number of items shows a difference of ${given} ${unit}.`
              : `${formatCount(needed)} items show a difference of ${given} ${unit} in ${100 * certainty.power} of 100 cases.`,
          ]),
      ...(seeds === null
        ? []
        : [`${formatCount(seeds)} seeds of each method do, where seeds scatter by ${seedScatter} ${unit}.`]),
      ...(items === undefined
        ? []
        : [
            smallest === null
              ? `${formatCount(items)} items show no difference that is possible.`
              : `${formatCount(items)} items show a difference from ${(smallest / factor).toPrecision(3)} ${unit} on.`,
          ]),
      `Assumed: ${scattering}; false alarms in ${100 * certainty.alpha} of 100 cases.`,
    ].join('\n'),
  );
}

function metricOf(values: Values): 'accuracy' | 'loss' {
  const metric = values['metric'] ?? 'accuracy';
  if (metric !== 'accuracy' && metric !== 'loss')
    throw usageError(`--metric "${String(metric)}" is neither accuracy nor loss.`);
  return metric;
}
