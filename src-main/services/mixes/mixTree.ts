import type { Dataset } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { MixAmount, MixRecipe, MixSnapshot } from '../../contract/mixing/mixes.ts';
import type { Split } from '../../contract/rows.ts';
import { mixAmounts } from '../../options/mixAmounts.ts';

/** A mix with its sources resolved, mixes of mixes too. */
export interface MixNode {
  recipe: MixRecipe;
  sources: readonly MixNodeSource[];
}

export interface MixNodeSource {
  name: string;
  amount: MixAmount | null;
  maxEpochs: number | null;
  of: { kind: 'dataset'; dataset: Dataset; split: Split } | { kind: 'mix'; node: MixNode };
}

/** A dataset of a mix, wherever in it. */
export interface MixLeaf {
  /** The mixes that it came by, and its own name, with slashes. */
  name: string;
  dataset: Dataset;
  split: Split;
  asked: string;
}

/** Deeper nesting is no recipe that anybody means. */
const deepest = 5;

/** @throws StudioError not_found for a source that is gone; config_invalid for a mix within itself */
export function mixTree(
  recipe: MixRecipe,
  libraries: { dataset(id: string): Dataset; mix(id: string): { name: string; recipe: MixRecipe } },
  within: readonly string[] = [],
): MixNode {
  return {
    recipe,
    sources: recipe.sources.map(({ kind, id, amount, split, maxEpochs }): MixNodeSource => {
      if (kind === 'dataset') {
        const dataset = libraries.dataset(id);
        return { name: dataset.name, amount, maxEpochs, of: { kind, dataset, split } };
      }
      const mix = libraries.mix(id);
      if (within.includes(id) || within.length >= deepest)
        throw new StudioError(
          'config_invalid',
          `The mix "${mix.name}" contains itself, or lies more than ${deepest} mixes deep.`,
          'Take it out of the mix that it contains.',
        );
      const node = mixTree(mix.recipe, libraries, [...within, id]);
      return { name: mix.name, amount, maxEpochs, of: { kind, node } };
    }),
  };
}

/** A mix as it is now, to be kept with a run. @throws StudioError as `mixTree` does */
export function snapshotOf(
  recipe: MixRecipe,
  mix: (id: string) => { name: string; recipe: MixRecipe },
  inner: MixSnapshot['inner'] = {},
): MixSnapshot {
  for (const { kind, id } of recipe.sources)
    if (kind === 'mix' && !inner[id]) {
      const { name, recipe: own } = mix(id);
      inner[id] = { name, recipe: own };
      snapshotOf(own, mix, inner);
    }
  return { recipe, inner };
}

/** The datasets of a mix, in the order of its sources. */
export function mixLeaves(node: MixNode, path = ''): MixLeaf[] {
  return node.sources.flatMap(({ name, amount, of }) =>
    of.kind === 'mix'
      ? mixLeaves(of.node, `${path}${name}/`)
      : [
          {
            name: `${path}${name}`,
            dataset: of.dataset,
            split: of.split,
            asked: askedWords(amount, node.recipe),
          },
        ],
  );
}

/** What a pass over a mix takes of each leaf, in passes over that leaf. */
export interface LeafAmounts {
  epochs: number[];
  /** The share that was asked for, of the whole mix, 0 to 1; null where an amount was. */
  askedShares: (number | null)[];
  /** By source of the mix itself: units of one pass over it, and how many this pass takes. */
  parts: { units: number; taken: number; leaves: number }[];
  warnings: string[];
}

/**
 * How often a pass over a mix passes over each of its datasets. An inner mix is solved in its own unit, and is then one
 * source with what its pass holds in the unit of the mix around it.
 * @param leafUnits units of each leaf, by unit
 */
export function leafAmounts(
  node: MixNode,
  leafUnits: (leaf: number, unit: MixRecipe['unit']) => number,
  first = 0,
): LeafAmounts {
  const { recipe } = node;
  let at = first;
  const parts = node.sources.map((source) => {
    const begin = at;
    if (source.of.kind === 'dataset') {
      at++;
      return {
        source,
        units: leafUnits(begin, recipe.unit),
        epochs: [1],
        askedShares: [null],
        warnings: [],
      };
    }
    const inner = leafAmounts(source.of.node, leafUnits, begin);
    at += inner.epochs.length;
    const { epochs, askedShares, warnings } = inner;
    const units = epochs.reduce((sum, passes, i) => sum + passes * leafUnits(begin + i, recipe.unit), 0);
    return { source, units, epochs, askedShares, warnings };
  });
  const solved = mixAmounts(
    recipe,
    parts.map(({ source: { name, amount, maxEpochs }, units }) => ({ name, amount, maxEpochs, units })),
  );
  const passes = parts.map(({ units }, i) => (units === 0 ? 0 : solved.units[i]! / units));
  return {
    epochs: parts.flatMap(({ epochs }, i) => epochs.map((inner) => inner * passes[i]!)),
    askedShares: parts.flatMap(({ source, askedShares }, i) =>
      source.of.kind === 'dataset'
        ? [solved.askedShares[i]!]
        : // Shares within an inner mix are of its own unit: of the whole they say nothing exact.
          askedShares.map(() => null),
    ),
    parts: parts.map(({ units, epochs }, i) => ({
      units,
      taken: solved.units[i]!,
      leaves: epochs.length,
    })),
    warnings: [...parts.flatMap(({ warnings }) => warnings), ...solved.warnings],
  };
}

const unitWords = { rows: 'rows', tokens: 'tokens', trained_tokens: 'trained tokens' } as const;

/** An amount as a person reads it. */
export function askedWords(amount: MixAmount | null, { unit, temperature }: MixRecipe): string {
  if (amount === null) return temperature === 1 ? 'by size' : `by size, temperature ${temperature}`;
  const value = amount.value.toLocaleString('en-US', { maximumFractionDigits: 4 });
  switch (amount.by) {
    case 'share':
      return `${value} %`;
    case 'weight':
      return `weight ${value}`;
    case 'epochs':
      return `${value} x`;
    case 'count':
      return `${value} ${unitWords[unit]}`;
  }
}
