import { expect, it } from 'vitest';
import { compiledPart, fused } from '../../../src-main/engine/graph/fused.ts';
import { Graph, type Tensor } from '../../../src-main/engine/graph/graph.ts';
import { add, cast, scale } from '../../../src-main/engine/graph/ops/elementwise.ts';
import { matmul } from '../../../src-main/engine/graph/ops/linear.ts';
import { openSession } from '../../../src-main/engine/graph/session.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';

/** Products of few rows are computed turned, and turned back by what reads them. */
const [width, outputs] = [256, 320];
const random = createRandom(8);
const numbers = (count: number) => Float32Array.from({ length: count }, () => 2 * random.next() - 1);
const weights = numbers(width * outputs);

type Reading = (product: Tensor, other: Tensor) => Tensor;
const readings: [string, Reading][] = [
  ['by a function', (product, other) => fused('sum', [other, product], ([a, b]) => [add(a!, b!)])[0]!],
  ['by a part', (product, other) => compiledPart([other, product], ([a, b]) => [add(a!, b!)])[0]!],
  ['by an operation', (product, other) => add(other, product)],
];

async function computed(rows: number, fusion: boolean, reading: Reading, products: 'native' | 'widened') {
  const graph = new Graph({ fusion, products });
  const x = graph.placeholder('x', [rows, width], 'f32');
  const w = graph.placeholder('w', [outputs, width], 'f32');
  const other = graph.placeholder('other', [rows, outputs], 'f32');
  const product = matmul(cast(x, 'bf16'), cast(w, 'bf16'), { transposeY: true });
  const out = scale(cast(reading(product, cast(other, 'bf16')), 'f32'), 1);
  const session = await openSession(loadTensorflow().tf, graph, {
    run: { inputs: { x, w, other }, outputs: { out } },
  });
  const feeds = { x: numbers(rows * width), w: weights, other: numbers(rows * outputs) };
  return {
    run: (given = feeds) => session.run('run', given).out,
    feeds,
    close: session.close,
    isTurned: graph.main.nodes.some(({ op }) => op === 'Transpose'),
    readsTurned: !graph.main.nodes.some(
      ({ op, inputs }) => op !== 'Transpose' && inputs.some((input) => input.startsWith('Transpose')),
    ),
  };
}

it.each(
  readings.flatMap(([name, reading]) =>
    (['native', 'widened'] as const).map((products) => ({ name, reading, products })),
  ),
)('16 rows, $products, read $name', async ({ name, reading, products }) => {
  const [plain, turned] = [
    await computed(16, false, (a, b) => add(b, a), 'native'),
    await computed(16, true, reading, products),
  ];
  expect(plain.isTurned).toBe(false);
  expect(turned.isTurned).toBe(true);
  expect(turned.readsTurned).toBe(name !== 'by an operation');
  const [expected, actual] = [plain.run(), turned.run(plain.feeds)];
  // One unit of bf16's last place, where sums are taken in another order.
  actual.forEach((value, i) => expect(Math.abs(value - expected[i]!)).toBeLessThan(0.13));
  expect(Math.max(...expected)).toBeGreaterThan(5);
  plain.close();
  turned.close();
});

it.each([1, 4, 16, 64])('%i rows times a weight that is widened in blocks', async (rows) => {
  const [wide, columns] = [1024, 2 ** 11 + 8];
  const x = numbers(rows * wide);
  const w = numbers(columns * wide);
  const results = [];
  for (const products of ['native', 'widened'] as const) {
    const graph = new Graph({ fusion: false, products });
    const [left, right] = [
      graph.placeholder('x', [rows, wide], 'f32'),
      graph.placeholder('w', [columns, wide], 'f32'),
    ];
    const product = matmul(cast(left, 'bf16'), cast(right, 'bf16'), { transposeY: true });
    const slices = graph.main.nodes.filter(({ op }) => op === 'Slice').length;
    expect(slices).toBe(products === 'widened' ? 3 : 0);
    const session = await openSession(loadTensorflow().tf, graph, {
      run: { inputs: { x: left, w: right }, outputs: { out: cast(product, 'f32') } },
    });
    results.push(session.run('run', { x, w }).out!);
    session.close();
  }
  const [expected, actual] = results;
  // One unit of bf16's last place, where sums are taken in another order.
  expect(actual!.every((value, i) => Math.abs(value - expected![i]!) < 0.26)).toBe(true);
  expect(actual!.some((value) => Math.abs(value) > 20)).toBe(true);
});

it('one row, and many, are not turned in bf16', async () => {
  for (const rows of [1, 512]) {
    const { isTurned, close } = await computed(rows, true, readings[0]![1], 'native');
    expect(isTurned).toBe(false);
    close();
  }
});
