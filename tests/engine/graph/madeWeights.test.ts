import { expect, it } from 'vitest';
import { gradients } from '../../../src-main/engine/graph/gradients.ts';
import { Graph, type Tensor } from '../../../src-main/engine/graph/graph.ts';
import { cast, multiply } from '../../../src-main/engine/graph/ops/elementwise.ts';
import { frozenMatmul, madeMatmul } from '../../../src-main/engine/graph/ops/linear.ts';

const [rows, width, outputs] = [128, 1024, 1024];
type Frozen = (x: Tensor, weight: Tensor) => Tensor;
const ways: [string, 'i8' | 'bf16', Frozen][] = [
  ['made for products of one input', 'i8', (x, weight) => madeMatmul(x, (dtype) => cast(weight, dtype))],
  ['widened for products of one input', 'bf16', frozenMatmul],
];

it.each(ways)('weights that are %s are so one after the other, forward and backward', (_, dtype, product) => {
  const graph = new Graph({ fusion: false, products: 'widened' });
  const x = graph.placeholder('x', [rows, width], 'bf16');
  const weights = ['gate', 'up'].map((name) => graph.placeholder(name, [outputs, width], dtype));
  const [gate, up] = weights.map((weight) => cast(product(x, weight), 'bf16'));
  const upstream = graph.placeholder('upstream', [rows, outputs], 'bf16');
  expect(gradients([multiply(gate!, up!)], [upstream], [x])).not.toContain(null);

  const nodes = new Map(graph.main.nodes.map((node) => [node.name, node]));
  const nameOf = (reference: string) => reference.replace(/^\^/, '').replace(/:\d+$/, '');
  /** Whether a node runs only once another has. */
  const waitsFor = (name: string, other: string): boolean =>
    name === other || (nodes.get(name)?.inputs.some((input) => waitsFor(nameOf(input), other)) ?? false);
  const references = new Set(weights.map(({ reference }) => nameOf(reference)));
  const made = [...nodes.values()].filter(({ inputs }) => references.has(nameOf(inputs[0] ?? '')));
  const products = made.map(({ name }) =>
    [...nodes.values()].find(({ op, inputs }) => op === 'MatMul' && inputs.map(nameOf).includes(name))!,
  );
  expect(made.map(({ op }) => op)).toEqual(['Cast', 'Cast', 'Cast', 'Cast']);
  for (const [first, second] of [
    [0, 1],
    [2, 3],
  ] as const) {
    expect(waitsFor(made[second]!.name, products[first]!.name)).toBe(true);
    // Not at all times: the first of each waits for what it multiplies alone.
    expect(waitsFor(made[first]!.name, products[second]!.name)).toBe(false);
  }
});
