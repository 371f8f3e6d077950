import type { LinearSite } from '../../shape/adapterSites.ts';
import { fusedModules, targetModules, type TargetModule } from '../../contract/training.ts';
import { fusedOne } from '../graph/fused.ts';
import type { Tensor } from '../graph/graph.ts';
import { add, cast, greaterEqual, multiply, scalarLike, scale } from '../graph/ops/elementwise.ts';
import { statelessUniform } from '../graph/ops/neural.ts';

/**
 * Inverted dropout (Srivastava et al. 2014; torch.nn.Dropout): value * keep / (1 - p), where keep is 0 with probability
 * p for every element by itself, else 1. The same seed draws the same mask, which makes runs reproducible; other
 * modules of the model draw others.
 * @param value compute type
 * @param seed i32 [2]
 */
export function dropOut(
  value: Tensor,
  { site, seed, p }: { site: LinearSite; seed: Tensor; p: number },
): Tensor {
  if (p === 0) return value;
  const siteSeed = add(seed, value.graph.constant([dropoutOffset(site) * 65537, 0], 'i32'));
  const uniform = statelessUniform(siteSeed, value.shape);
  const keep = cast(greaterEqual(uniform, scalarLike(uniform, p)), value.dtype);
  return fusedOne(`dropout_${p}`, [value, keep], ([x, kept]) => scale(multiply(x!, kept!), 1 / (1 - p)));
}

const modules: readonly TargetModule[] = [...targetModules, ...fusedModules];

/** A number from 1 on that no other module of a model has: each draws masks of its own. */
export function dropoutOffset({ layer, module }: LinearSite): number {
  return 1 + layer * modules.length + modules.indexOf(module);
}
