import { linearModules, modelShape } from '../../src-main/shape/modelShape.ts';
import { modelTargets } from '../../src-main/shape/targets.ts';
import type { Model } from '../../src-main/contract/entities.ts';
import { StudioError } from '../../src-main/contract/errors.ts';
import { targetModules, type TargetModule } from '../../src-main/contract/training.ts';

/** The linear modules of a layer, as the model has them; the usual seven while none is chosen. */
export function allModules(model: Model | undefined): readonly TargetModule[] {
  return model ? linearModules(modelShape(model)) : targetModules;
}

/**
 * The chosen modules in the model's own names: q, k and v together are qkv_proj where they lie in one matrix. What it
 * lacks stays.
 */
export function ownTargets(
  targets: readonly TargetModule[],
  model: Model | null | undefined,
): readonly TargetModule[] {
  if (!model) return targets;
  try {
    return modelTargets(modelShape(model), targets);
  } catch (error) {
    if (!(error instanceof StudioError)) throw error;
    return targets;
  }
}

/** Those of the model's modules that are chosen, in their order. */
export function shownTargets(
  targets: readonly TargetModule[],
  model: Model | undefined,
): readonly TargetModule[] {
  const own = ownTargets(targets, model);
  return allModules(model).filter((module) => own.includes(module));
}
