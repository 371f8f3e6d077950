import { largestRank } from '../../../src-main/budget/check.ts';
import type { AdapterSize } from '../../../src-main/budget/methods/method.ts';
import { methodDeclarations } from '../../../src-main/budget/methods/registry.ts';
import type { Model } from '../../../src-main/contract/entities.ts';
import { StudioError } from '../../../src-main/contract/errors.ts';
import { readLayers, readPattern } from '../../../src-main/contract/optionText.ts';
import { modelShape } from './modelShape.ts';
import type { TrainForm } from './trainForm.ts';

/** Greatest rank of the slider: beyond it people type. */
const mostOfSlider = 256;

/** What decides the size of the form's adapter, whatever the method; empty boxes count as 1, unreadable texts as empty. */
export function adapterSize(form: Readonly<TrainForm>): AdapterSize {
  const layers = readLayers(form.layers);
  const ranks = readPattern(form.rankPattern);
  return {
    method: form.method,
    rank: form.rank ?? 0,
    targets: form.targets,
    clusters: form.clusters ?? 1,
    boost: form.boost ?? 1,
    router: form.router,
    heads: form.heads ?? 1,
    experts: form.experts ?? 1,
    gate: form.gate,
    tasks: form.gate === 'task' ? (form.tasks ?? 1) : 1,
    layers: 'value' in layers && layers.value.length > 0 ? layers.value : null,
    rankPattern: 'value' in ranks ? ranks.value : {},
  };
}

/** Step and greatest rank of the slider; any rank where the choice of modules is impossible, which is said beside it. */
export function rankRange(
  form: Readonly<TrainForm>,
  model: Model | undefined,
): { step: number; most: number } {
  const size = adapterSize(form);
  if (form.method === 'full') return { step: 1, most: mostOfSlider };
  const step = Math.max(1, methodDeclarations[form.method].rankStep(size));
  if (!model || form.targets.length === 0) return { step, most: mostOfSlider };
  try {
    return { step, most: Math.max(step, Math.min(largestRank(modelShape(model), size), mostOfSlider)) };
  } catch (error) {
    if (error instanceof StudioError) return { step, most: mostOfSlider };
    throw error;
  }
}
