import { datasetRecipe, mixRecipeSchema, type MixRecipe } from '../../src-main/contract/mixing/mixes.ts';
import type { TrainConfig } from '../../src-main/contract/training.ts';
import { distinctPasses, passKey, passOptions } from '../../src-main/options/lengths.ts';
import type { PassCount } from '../options/formCheck.ts';
import type { TrainedData } from '../options/trainedData.ts';
import { createAnswer } from '../state/action.svelte.ts';
import type { Studio } from '../state/studio.svelte.ts';

/** What is counted: the data, with the tokenizer of a model, for configurations of runs. */
interface Chosen {
  model: string | null;
  data: TrainedData | null;
  configs: readonly TrainConfig[];
}

/**
 * Passes over a mix or over packed rows, counted as the page of mixes counts them and the engine takes them: with the
 * amounts, through the template of each run. By `passKey`; null: not counted yet. A dataset whose rows are not packed
 * is one pass itself, and not counted. To be called where a component is made.
 */
export function passCounts(
  studio: Studio,
  chosen: () => Chosen,
): { readonly value: Readonly<Record<string, PassCount>> | null } {
  const asked = $derived.by(() => {
    const { model, data, configs } = chosen();
    const counted = distinctPasses(configs.filter((config) => data && isCounted(data, config)));
    if (!data || model === null || counted.length === 0) return null;
    const recipe = data.mix
      ? mixRecipeSchema.parse(data.mix)
      : datasetRecipe({ id: data.id, split: 'train' });
    // A mix within the mix and the datasets may change, too.
    return JSON.stringify([
      { recipe, model, counted },
      data.datasets.map(({ contentHash }) => contentHash),
      studio.mixes,
    ]);
  });
  let controller: AbortController | null = null;
  const counted = createAnswer(async () => {
    controller?.abort();
    if (asked === null) return null;
    const { signal } = (controller = new AbortController());
    const [{ recipe, model, counted: configs }] = JSON.parse(asked) as [
      { recipe: MixRecipe; model: string; counted: TrainConfig[] },
    ];
    const passes: Record<string, PassCount> = {};
    for (const config of configs) {
      const input = { recipe, model, options: passOptions(config) };
      const count = await studio.client.call('mixes.count', input, { signal });
      const { rows, heldOutRows, layout } = count;
      const steps = config.maxSteps ?? (await studio.client.call('mixes.steps', input, { signal })).steps;
      passes[passKey(config)] = { rows, heldOutRows, layout, steps };
    }
    return { asked, passes };
  });
  // What was asked for is of no use to another page; what was tokenized by then is kept by the core.
  $effect(() => () => controller?.abort());
  return {
    get value() {
      return counted.value?.asked === asked ? (counted.value?.passes ?? null) : null;
    },
  };
}

/** The same for one configuration. Null: nothing is counted, or not yet. */
export function passCount(
  studio: Studio,
  chosen: () => Omit<Chosen, 'configs'> & { config: TrainConfig | null },
): { readonly value: PassCount | null } {
  const passes = passCounts(studio, () => {
    const { config, ...rest } = chosen();
    return { ...rest, configs: config ? [config] : [] };
  });
  return {
    get value() {
      const { config } = chosen();
      return (config && passes.value?.[passKey(config)]) ?? null;
    },
  };
}

/** Whether the steps of a run follow from tokens and amounts, not from the number of rows alone. */
export function isCounted(data: TrainedData, { packing, maxSteps }: TrainConfig): boolean {
  return data.mix !== null || (packing && maxSteps === null);
}
