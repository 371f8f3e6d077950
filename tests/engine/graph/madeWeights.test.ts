import { expect, it } from 'vitest';
import { gradients } from '../../../src-main/engine/graph/gradients.ts';
import { Graph, type Tensor } from '../../../src-main/engine/graph/graph.ts';
import { cast, multiply } from '../../../src-main/engine/graph/ops/elementwise.ts';
import { madeMatmul } from '../../../src-main/engine/graph/ops/linear.ts';

it('weights that are made for products of one input are made one after the other, forward and backward', () => {
  const graph = new Graph({ fusion: false });
  const x = graph.placeholder('x', [8, 16], 'f32');
  const made: Tensor[] = [];
  const product = (name: string) => {
    const weight = graph.placeholder(name, [32, 16], 'i8');
    return madeMatmul(x, (dtype) => {
      made.push(cast(weight, dtype));
      return made.at(-1)!;
    });
  };
  const gated = multiply(product('gate'), product('up'));
  expect(gradients([gated], [graph.placeholder('upstream', [8, 32], 'f32')], [x])).not.toContain(null);

  const nodes = new Map(graph.main.nodes.map((node) => [node.name, node]));
  const nameOf = (reference: string) => reference.replace(/^\^/, '').replace(/:\d+$/, '');
  /** Whether a node runs only once another has. */
  const waitsFor = (name: string, other: string): boolean =>
    name === other || (nodes.get(name)?.inputs.some((input) => waitsFor(nameOf(input), other)) ?? false);
  const productOf = (weight: Tensor) =>
    [...nodes.values()].find(
      ({ op, inputs }) => op === 'MatMul' && inputs.map(nameOf).includes(nameOf(weight.reference)),
    )!.name;
  expect(made).toHaveLength(4);
  const [first, second, third, fourth] = made.map((weight) => nameOf(weight.reference));
  expect(waitsFor(second!, productOf(made[0]!))).toBe(true);
  expect(waitsFor(fourth!, productOf(made[2]!))).toBe(true);
  // Not at all times: the first of each waits for what it multiplies alone.
  expect(waitsFor(first!, productOf(made[1]!))).toBe(false);
  expect(waitsFor(third!, productOf(made[3]!))).toBe(false);
});
