import { largestRank, rankStep } from '../../src-main/options/checkAdapter.ts';
import type { Model } from '../../src-main/contract/entities.ts';
import { StudioError } from '../../src-main/contract/errors.ts';
import { readLayers, readPaths, readPattern } from '../../src-main/options/optionText.ts';
import type { AdapterConfig } from '../../src-main/contract/training.ts';
import {
  isAdapterOption,
  matters,
  optionDefaults,
  optionNames,
} from '../../src-main/options/trainingOptions.ts';
import { modelShape } from '../../src-main/shape/modelShape.ts';
import type { TrainForm } from './trainForm.ts';

/** Greatest rank of the slider: beyond it people type. */
const mostOfSlider = 256;

/**
 * The options of the form that decide the size of a method's adapter. An empty box counts as 1 (no rank as 0), a text
 * that cannot be read as empty.
 */
export function adapterSize(form: Readonly<TrainForm>, method = form.method): AdapterConfig {
  const layers = readLayers(form.layers);
  const ranks = readPattern(form.rankPattern);
  const counting = optionNames.filter((name) => isAdapterOption(name) && matters(name, { ...form, method }));
  return {
    ...optionDefaults,
    ...Object.fromEntries(counting.map((name) => [name, form[name] ?? (name === 'rank' ? 0 : 1)])),
    method,
    layers: 'value' in layers && layers.value.length > 0 ? layers.value : null,
    paths: form.paths.trim() === '' ? null : readPaths(form.paths),
    rankPattern: 'value' in ranks ? ranks.value : {},
    alphaPattern: {},
  };
}

/**
 * Step and greatest rank of the slider; any rank where the choice of modules is impossible, which is said beside it.
 */
export function rankRange(
  form: Readonly<TrainForm>,
  model: Model | undefined,
): { step: number; most: number } {
  const size = adapterSize(form);
  const step = Math.max(1, rankStep(size));
  if (form.method === 'full' || !model || form.targets.length === 0) return { step, most: mostOfSlider };
  try {
    return { step, most: Math.max(step, Math.min(largestRank(modelShape(model), size), mostOfSlider)) };
  } catch (error) {
    if (error instanceof StudioError) return { step, most: mostOfSlider };
    throw error;
  }
}
