import { mixRecipeSchema } from '../../src-main/contract/mixing/mixes.ts';
import type { ProcedureInput } from '../../src-main/contract/procedures.ts';
import type { TrainConfig } from '../../src-main/contract/training.ts';
import type { PassCount } from '../options/formCheck.ts';
import type { TrainedData } from '../options/trainedData.ts';
import { createAnswer } from '../state/action.svelte.ts';
import type { Studio } from '../state/studio.svelte.ts';

/**
 * One pass over the mix that is chosen, counted as the page of mixes counts it: with its amounts, through the template
 * of the run. Null: a dataset, which is one pass itself, or not counted yet. To be called where a component is made.
 */
export function passCount(
  studio: Studio,
  chosen: () => { model: string | null; data: TrainedData | null; config: TrainConfig | null },
): { readonly value: PassCount | null } {
  const asked = $derived.by(() => {
    const { model, data, config } = chosen();
    if (!data?.mix || model === null || !config) return null;
    const input: ProcedureInput<'mixes.count'> = {
      recipe: mixRecipeSchema.parse(data.mix),
      model,
      options: countOptions(config),
    };
    // A mix within the mix and the datasets may change, too.
    return JSON.stringify([input, data.datasets.map(({ contentHash }) => contentHash), studio.mixes]);
  });
  let controller: AbortController | null = null;
  const counted = createAnswer(async () => {
    controller?.abort();
    if (asked === null) return null;
    const own = (controller = new AbortController());
    const [input] = JSON.parse(asked) as [ProcedureInput<'mixes.count'>];
    const { rows, heldOutRows, stepsPerEpoch, longestRow } = await studio.client.call('mixes.count', input, {
      signal: own.signal,
    });
    return { asked, pass: { rows, heldOutRows, stepsPerEpoch, longestRow } };
  });
  // What was asked for is of no use to another page; what was tokenized by then is kept by the core.
  $effect(() => () => controller?.abort());
  return {
    get value() {
      return counted.value?.asked === asked ? (counted.value?.pass ?? null) : null;
    },
  };
}

function countOptions(config: TrainConfig): ProcedureInput<'mixes.count'>['options'] {
  const { context, truncation, template, templateSource, system, trainOn } = config;
  const { seed, heldOutFraction, batch, accumulate, packing } = config;
  const rendering = { truncation, template, templateSource, system, trainOn };
  return { context, ...rendering, seed, heldOutFraction, batch, accumulate, packing };
}
