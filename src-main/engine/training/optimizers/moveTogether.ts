import { elementCount } from '../../graph/dtype.ts';
import { compiledCall } from '../../graph/fused.ts';
import { callShared } from '../../graph/functions.ts';
import type { Tensor } from '../../graph/graph.ts';
import { cast } from '../../graph/ops/elementwise.ts';
import { concat, reshape, sliceAxis } from '../../graph/ops/layout.ts';
import { assignVariable, readVariable, type Variable } from '../../graph/variables.ts';
import { blockSize } from './blockwiseQuantization.ts';
import type { Gradient, ParameterUpdate } from './optimizer.ts';

/** A trainable variable with what its optimizer does to it. */
export interface Member {
  variable: Variable;
  rateFactor: number;
  update: Pick<ParameterUpdate, 'state' | 'next'>;
}

/**
 * Adds one update of several variables as one function, which all such groups of the same sizes share: compiled where
 * the graph compiles. Values go in and come out in one row each, so that a matrix and its transpose, as LoRA's A and
 * B, are of the same size.
 *
 * @param gradients one for each member, all clipped by the same factor
 * @returns names of the nodes that must have run
 */
export function moveTogether(
  members: readonly Member[],
  gradients: readonly Gradient[],
  scalars: Readonly<Record<string, Tensor>>,
): string[] {
  const { graph } = members[0]!.variable;
  const names = Object.keys(scalars);
  const { factor } = gradients[0]!;
  const shared = [...Object.values(scalars), ...(factor ? [factor] : [])];
  const changed = members.map(({ variable, update }) => [variable, ...update.state]);
  const inputs = [
    ...shared,
    ...changed.flatMap((variables, i) => [
      inOneRow(gradients[i]!.raw),
      ...variables.map((variable) => inOneRow(readVariable(variable))),
    ]),
  ];
  const body = (given: readonly Tensor[]) => {
    const fed = Object.fromEntries(names.map((name, i) => [name, given[i]!]));
    const clip = factor ? given[names.length]! : null;
    let at = shared.length;
    const own = changed.map(({ length }) => given.slice(at, (at += 1 + length)));
    const moved: Tensor[][] = [];
    for (const alike of stacks(members)) {
      const [raw, ...values] = stacked(alike.map((i) => own[i]!));
      const gradient = { raw: cast(raw!, 'f32'), factor: clip };
      const next = members[alike[0]!]!.update.next(values, gradient, fed);
      unstacked(
        next,
        alike.map((i) => own[i]!.slice(1)),
      ).forEach((parts, i) => (moved[alike[i]!] = parts));
    }
    return moved.flat();
  };
  const kind = `update_${factor ? 'clipped_' : ''}${members.map(({ rateFactor }) => rateFactor).join('_')}`;
  const results = compiledCall(kind, inputs, body) ?? callShared(graph, kind, inputs, body);
  return changed.flat().map((variable, i) => assignVariable(variable, reshape(results[i]!, variable.shape)));
}

/**
 * Members whose values, laid one behind the other, are those of one larger member: in blocks of 8 bits, where no block
 * is short and the rate is the same. What finds codes is long, and is then compiled once instead of for each.
 */
function stacks(members: readonly Member[]): number[][] {
  const alone: number[][] = [];
  const byRate = new Map<number, number[]>();
  for (const [i, { variable, rateFactor, update }] of members.entries())
    if (update.state.some(({ dtype }) => dtype === 'u8') && elementCount(variable.shape) % blockSize === 0)
      byRate.set(rateFactor, [...(byRate.get(rateFactor) ?? []), i]);
    else alone.push([i]);
  return [...byRate.values(), ...alone];
}

/** Equal values of several members as one each. */
function stacked(members: readonly (readonly Tensor[])[]): Tensor[] {
  const [first] = members;
  return members.length === 1
    ? [...first!]
    : first!.map((_, i) =>
        concat(
          members.map((own) => own[i]!),
          0,
        ),
      );
}

/** The inverse: into parts as large as those of the members. */
function unstacked(values: readonly Tensor[], members: readonly (readonly Tensor[])[]): Tensor[][] {
  if (members.length === 1) return [[...values]];
  const begins = values.map(() => 0);
  return members.map((own) =>
    own.map((part, i) => {
      const [count] = part.shape as [number];
      const taken = sliceAxis(values[i]!, 0, begins[i]!, count);
      begins[i]! += count;
      return taken;
    }),
  );
}

/** Numbers; bytes have a shape of their own, the same for all of equal size. */
function inOneRow(x: Tensor): Tensor {
  return x.dtype === 'u8' ? x : reshape(x, [elementCount(x.shape)]);
}
