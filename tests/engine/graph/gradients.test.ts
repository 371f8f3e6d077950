import { describe, expect, it } from 'vitest';
import { fusedOne } from '../../../src-main/engine/graph/fused.ts';
import { gradients } from '../../../src-main/engine/graph/gradients.ts';
import { Graph, type Products, type Tensor } from '../../../src-main/engine/graph/graph.ts';
import * as elementwise from '../../../src-main/engine/graph/ops/elementwise.ts';
import * as layout from '../../../src-main/engine/graph/ops/layout.ts';
import { batchMatmul, matmul } from '../../../src-main/engine/graph/ops/linear.ts';
import { mean, softmax } from '../../../src-main/engine/graph/ops/neural.ts';
import { sum } from '../../../src-main/engine/graph/ops/reduce.ts';
import { openSession } from '../../../src-main/engine/graph/session.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';

const { tf } = loadTensorflow();
const {
  add,
  cast,
  divide,
  exp,
  log,
  multiply,
  negate,
  rsqrt,
  select,
  sigmoid,
  sqrt,
  square,
  subtract,
  less,
  scalarLike,
} = elementwise;

type Function = (x: Tensor, y: Tensor) => Tensor;

/** Operations with the shapes of their two inputs. Inputs are in [0.5, 1.5), where all of them are smooth. */
const cases: [string, number[], number[], Function][] = [
  ['add with broadcasting', [2, 3], [3], add],
  ['subtract', [2, 3], [2, 1], subtract],
  ['multiply with broadcasting', [4, 1, 3], [2, 1], multiply],
  ['divide', [2, 3], [1, 3], divide],
  ['exp and log', [5], [5], (x, y) => add(exp(x), log(y))],
  ['square, sqrt, rsqrt', [4], [4], (x, y) => add(square(x), multiply(sqrt(x), rsqrt(y)))],
  ['sigmoid and negate', [4], [4], (x, y) => sigmoid(subtract(negate(x), y))],
  ['select', [2, 3], [2, 3], (x, y) => select(less(x, scalarLike(x, 1)), multiply(x, y), square(y))],
  ['matmul', [2, 3], [3, 4], (x, y) => matmul(x, y)],
  ['matmul, x transposed', [3, 2], [3, 4], (x, y) => matmul(x, y, { transposeX: true })],
  ['matmul, y transposed', [2, 3], [4, 3], (x, y) => matmul(x, y, { transposeY: true })],
  ['matmul, both transposed', [3, 2], [4, 3], (x, y) => matmul(x, y, { transposeX: true, transposeY: true })],
  ['batched matmul', [2, 3, 4], [2, 4, 2], (x, y) => batchMatmul(x, y)],
  [
    'batched matmul, broadcast and transposed',
    [2, 2, 3, 4],
    [1, 2, 5, 4],
    (x, y) => batchMatmul(x, y, { transposeY: true }),
  ],
  ['batched matmul, x transposed', [2, 4, 3], [2, 4, 2], (x, y) => batchMatmul(x, y, { transposeX: true })],
  ['sum and mean', [2, 3, 4], [2, 4], (x, y) => multiply(sum(x, [1]), mean(y, [0], true))],
  ['softmax', [3, 4], [3, 4], (x, y) => multiply(softmax(x), y)],
  [
    'slice, pad and concat',
    [3, 4],
    [3, 2],
    (x, y) => layout.concat([layout.sliceAxis(x, 1, 1, 2), layout.padAxis(y, 1, 1, 0)], 1),
  ],
  [
    'transpose and reshape',
    [2, 3],
    [6],
    (x, y) => multiply(layout.reshape(layout.transpose(x, [1, 0]), [6]), y),
  ],
  [
    'gather of rows, one of them three times',
    [4, 3],
    [5, 3],
    (x, y) => multiply(layout.gather(x, x.graph.constant([2, 0, 2, 3, 2], 'i32'), 0), y),
  ],
  [
    'narrow products of one value',
    [3, 5],
    [6, 5],
    (x, y) => {
      const narrow = (begin: number, count: number) =>
        matmul(x, layout.sliceAxis(y, 0, begin, count), { transposeY: true });
      return layout.concat([narrow(0, 2), exp(narrow(2, 1)), square(narrow(3, 3))], 1);
    },
  ],
  ['a value used twice', [3], [3], (x, y) => add(multiply(x, y), multiply(x, x))],
];

describe.each([
  ['plain', false],
  ['compiled by XLA', true],
])('gradients equal finite differences, %s', (_label, fusion) => {
  it.each(cases)('%s', async (_name, xShape, yShape, f) => {
    const graph = new Graph({ fusion });
    const x = graph.placeholder('x', xShape, 'f32');
    const y = graph.placeholder('y', yShape, 'f32');
    const z = fusedOne('case', [x, y], ([a, b]) => f(a!, b!));
    const weights = graph.constant(
      Float32Array.from({ length: z.shape.reduce((n, s) => n * s, 1) }, (_, i) => Math.sin(i + 1)),
      'f32',
      z.shape,
    );
    const loss = sum(multiply(z, weights), [...z.shape.keys()]);
    const [dx, dy] = gradients([loss], [graph.constant(1)], [x, y]);
    const session = await openSession(tf, graph, {
      f: { inputs: { x, y }, outputs: { loss, dx: dx!, dy: dy! } },
    });
    const random = createRandom(7);
    const values = [xShape, yShape].map((shape) =>
      Float32Array.from({ length: shape.reduce((n, s) => n * s, 1) }, () => 0.5 + random.next()),
    );
    const at = () => session.run('f', { x: values[0]!, y: values[1]! });
    const exact = at();
    [exact.dx, exact.dy].forEach((gradient, which) => {
      gradient.forEach((value, i) => {
        const original = values[which]![i]!;
        const step = 5e-3;
        values[which]![i] = original + step;
        const above = at().loss[0]!;
        values[which]![i] = original - step;
        const below = at().loss[0]!;
        values[which]![i] = original;
        expect(Math.abs((above - below) / (2 * step) - value)).toBeLessThan(5e-3 * (1 + Math.abs(value)));
      });
    });
    session.close();
  });
});

it('makes no gradient of a value that nobody asked for', () => {
  const graph = new Graph({ fusion: false });
  const x = graph.placeholder('x', [2, 3], 'f32');
  const frozen = graph.placeholder('frozen', [4, 3], 'f32');
  const loss = sum(matmul(x, frozen, { transposeY: true }), [0, 1]);
  const before = graph.main.nodes.filter(({ op }) => op === 'MatMul').length;
  gradients([loss], [graph.constant(1)], [x]);
  expect(graph.main.nodes.filter(({ op }) => op === 'MatMul').length).toBe(before + 1);
});

it('joins narrow products: all that give one gradient, and all of one value', () => {
  const graph = new Graph({ fusion: false });
  const x = graph.placeholder('x', [8, 16], 'f32');
  const downs = [2, 4, 3].map((rank, i) => graph.placeholder(`a${i}`, [rank, 16], 'f32'));
  const outputs = downs.map((down) => matmul(cast(x, 'bf16'), cast(down, 'bf16'), { transposeY: true }));
  const loss = outputs.map((z) => sum(cast(z, 'f32'), [0, 1])).reduce(add);
  const products = () => graph.main.nodes.filter(({ op }) => op === 'MatMul').length;
  const before = products();
  const found = gradients([loss], [graph.constant(1)], [x, ...downs]);
  expect(found.map((gradient) => gradient!.shape)).toEqual([x, ...downs].map(({ shape }) => shape));
  // Three casts of x are three values, of which each has products of its own.
  expect(products() - before).toBe(6);

  const once = cast(x, 'bf16');
  const shared = downs.map((down) => matmul(once, cast(down, 'bf16'), { transposeY: true }));
  const sharedLoss = shared.map((z) => sum(cast(z, 'f32'), [0, 1])).reduce(add);
  const between = products();
  gradients([sharedLoss], [graph.constant(1)], [x, ...downs]);
  expect(products() - between).toBe(2);
});

it('makes products at the end of what an operation gives again, and asks for it only where one reads it', async () => {
  const graph = new Graph({ fusion: false });
  const x = graph.placeholder('x', [2, 3], 'f32');
  const a = graph.placeholder('a', [1, 3], 'f32');
  const asked: (readonly boolean[])[] = [];
  const twice = (value: Tensor) =>
    graph.withGradientOfAddends([value], [add(value, value)], ([addends], _wanted, read) => {
      asked.push(read);
      const doubled = elementwise.addAll(addends!.flatMap((addend) => [addend, addend]));
      // Not the same value, so that it shows which one is read.
      return { gradients: [doubled], again: [scalarTimes(value, 100)] };
    })[0]!;
  const scalarTimes = (value: Tensor, factor: number) => multiply(value, scalarLike(value, factor));
  const loss = sum(matmul(twice(x), a, { transposeY: true }), [0, 1]);
  const [, da] = gradients([loss], [graph.constant(1)], [x, a]);
  gradients([sum(twice(x), [0, 1])], [graph.constant(1)], [x]);
  expect(asked).toEqual([[true], [false]]);
  const session = await openSession(tf, graph, { f: { inputs: { x }, outputs: { da: da! } } });
  expect([...session.run('f', { x: Float32Array.of(1, 2, 3, 4, 5, 6) }).da]).toEqual([500, 700, 900]);
  session.close();
});

it('casts keep gradients in the type of the value', () => {
  const graph = new Graph({ fusion: false });
  const x = graph.placeholder('x', [2], 'f32');
  const loss = sum(cast(multiply(cast(x, 'bf16'), cast(x, 'bf16')), 'f32'), [0]);
  expect(gradients([loss], [graph.constant(1)], [x])[0]!.dtype).toBe('f32');
});

it('refuses shapes that do not fit, naming them', () => {
  const graph = new Graph({ fusion: false });
  const a = graph.placeholder('a', [2, 3], 'f32');
  const b = graph.placeholder('b', [2, 4], 'f32');
  expect(() => add(a, b)).toThrow('[2,3] and [2,4]');
  expect(() => matmul(a, b)).toThrow('f32[2,3] with f32[2,4]');
  expect(() => layout.reshape(a, [4, 2])).toThrow('[2,3]');
  expect(() => layout.sliceAxis(a, 1, 2, 2)).toThrow('outside axis 1');
});

describe('products of bf16 matrices computed in f32', () => {
  const values = (count: number, seed: number) => {
    const random = createRandom(seed);
    return Float32Array.from({ length: count }, () => random.next() - 0.5);
  };

  async function outcome(products: Products) {
    const graph = new Graph({ fusion: false, products });
    const x = graph.placeholder('x', [8, 16], 'f32');
    const y = graph.placeholder('y', [4, 16], 'f32');
    // Operands of their own: where gradients of two products are added up, each is rounded by its own size.
    const u = graph.placeholder('u', [2, 4, 16], 'f32');
    const v = graph.placeholder('v', [2, 2, 16], 'f32');
    const z = matmul(cast(x, 'bf16'), cast(y, 'bf16'), { transposeY: true });
    const batched = batchMatmul(cast(u, 'bf16'), cast(v, 'bf16'), { transposeY: true });
    const loss = add(sum(cast(z, 'f32'), [0, 1]), sum(cast(batched, 'f32'), [0, 1, 2]));
    const [dx, dy, du, dv] = gradients([loss], [graph.constant(1)], [x, y, u, v]);
    const session = await openSession(tf, graph, {
      f: {
        inputs: { x, y, u, v },
        outputs: { z: cast(z, 'f32'), batched: cast(batched, 'f32'), dx: dx!, dy: dy!, du: du!, dv: dv! },
      },
    });
    const [of, by] = [values(128, 1), values(64, 2)];
    const out = session.run('f', { x: of, y: by, u: of, v: by });
    session.close();
    return out;
  }

  it('equal those of the bf16 kernels up to one rounding, gradients too', async () => {
    const [native, widened] = [await outcome('native'), await outcome('widened')];
    for (const name of ['z', 'batched', 'dx', 'dy', 'du', 'dv'] as const)
      widened[name].forEach((value, i) => {
        // bf16 keeps 8 bits: neighbours differ by at most 2^-7 of the value.
        const expected = native[name][i]!;
        expect(Math.abs(value - expected), `${name}[${i}]`).toBeLessThanOrEqual(
          2 ** -7 * Math.abs(expected) + 1e-6,
        );
      });
  });

  it('keep bf16 between products: only the operands of a product are cast', () => {
    const graph = new Graph({ fusion: false, products: 'widened' });
    const x = cast(graph.placeholder('x', [2, 3], 'f32'), 'bf16');
    const z = matmul(x, x, { transposeY: true });
    expect(z.dtype).toBe('bf16');
    const node = graph.main.nodes.find(({ op }) => op === 'MatMul')!;
    expect(node.attributes['T']).toEqual({ kind: 'type', value: 'f32' });
  });
});

it('a compiled gradient takes only the inputs it reads', () => {
  const graph = new Graph({ fusion: true });
  const x = graph.placeholder('x', [3], 'f32');
  const y = graph.placeholder('y', [3], 'f32');
  const z = fusedOne('sum', [x, y], ([a, b]) => add(a!, b!));
  gradients([sum(z, [0])], [graph.constant(1)], [x, y]);
  const calls = graph.main.nodes.filter(({ op }) => op === 'StatefulPartitionedCall');
  expect(calls.map(({ inputs }) => inputs.length)).toEqual([2, 1]);
});
