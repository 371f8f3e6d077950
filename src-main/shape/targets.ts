import type { TargetModule } from '../contract/training.ts';
import { impossible } from '../methods/method.ts';
import { linearModules, type ModelShape } from './modelShape.ts';

const parts: Readonly<Record<'qkv_proj' | 'gate_up_proj', readonly TargetModule[]>> = {
  qkv_proj: ['q_proj', 'k_proj', 'v_proj'],
  gate_up_proj: ['gate_proj', 'up_proj'],
};

/**
 * The modules to adapt, as the model has them: where q, k, v (or gate, up) lie in one
 * matrix, all of them together mean that matrix, which is also what PEFT adapts and can load.
 *
 * @throws StudioError config_invalid: the model has no such module, or only a part of a matrix is asked for
 */
export function modelTargets(
  shape: Pick<ModelShape, 'fusedProjections'>,
  targets: readonly TargetModule[],
): TargetModule[] {
  const has = linearModules(shape);
  const chosen = new Set(targets);
  if (shape.fusedProjections)
    for (const [matrix, members] of Object.entries(parts) as [
      keyof typeof parts,
      readonly TargetModule[],
    ][]) {
      const asked = members.filter((member) => chosen.has(member));
      if (asked.length === 0) continue;
      if (asked.length < members.length && !chosen.has(matrix))
        throw impossible(
          `This model keeps ${members.join(', ')} in one matrix, ${matrix}: ${asked.join(', ')} cannot be adapted alone.`,
          `Choose ${matrix}, or none of them. The model's modules are ${has.join(', ')}.`,
          ['adapter', 'targets'],
        );
      for (const member of members) chosen.delete(member);
      chosen.add(matrix);
    }
  const foreign = [...chosen].filter((module) => !has.includes(module));
  if (foreign.length > 0)
    throw impossible(
      `This model has no module ${foreign.join(', ')}.`,
      `Its modules are ${has.join(', ')}.`,
      ['adapter', 'targets'],
    );
  return shape.fusedProjections ? has.filter((module) => chosen.has(module)) : [...targets];
}
