import { expect, it, vi } from 'vitest';
import { createRandom } from '../../../src-main/statistics/random.ts';
import { Graph, type Products } from '../../../src-main/engine/graph/graph.ts';
import { cast } from '../../../src-main/engine/graph/ops/elementwise.ts';
import { openSession } from '../../../src-main/engine/graph/session.ts';
import { headProduct, throughHead } from '../../../src-main/engine/model/head.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';

// A head of 9 words of 6 numbers is cut into parts of 4, 4 and 1 words.
vi.mock('../../../src-main/options/deviceSizes.ts', async (original) => ({
  ...(await original<object>()),
  deviceSizes: { cpu: { widenedElements: 24 }, gpu: { widenedElements: Infinity } },
}));

const [rows, size, words] = [5, 6, 9];
const values = (count: number, seed: number) => {
  const random = createRandom(seed);
  return Float32Array.from({ length: count }, () => random.next() - 0.5);
};

async function products(how: Products) {
  const graph = new Graph({ fusion: false, products: how });
  const given = (name: string, shape: [number, number]) => graph.placeholder(name, shape, 'f32');
  const inputs = {
    hidden: given('hidden', [rows, size]),
    head: given('head', [words, size]),
    gradient: given('gradient', [rows, words]),
  };
  const [hidden, head, gradient] = Object.values(inputs).map((value) => cast(value, 'bf16'));
  const outputs = {
    logits: cast(headProduct(hidden!, head!), 'f32'),
    back: cast(throughHead(gradient!, head!), 'f32'),
  };
  const casts = graph.main.nodes.filter(({ op }) => op === 'Slice').length;
  const session = await openSession(loadTensorflow().tf, graph, { f: { inputs, outputs } });
  const found = session.run('f', {
    hidden: values(rows * size, 1),
    head: values(words * size, 2),
    gradient: values(rows * words, 3),
  });
  session.close();
  return { ...found, casts };
}

it('widens a large head in parts, to the same logits and gradients', async () => {
  const [whole, inParts] = [await products('native'), await products('widened')];
  expect(whole.casts).toBe(0);
  expect(inParts.casts).toBe(3 + 2 * 3);
  // bf16 has 8 bits: neighbours differ by at most 2^-7 of the value.
  for (const name of ['logits', 'back'] as const)
    inParts[name].forEach((value, i) =>
      expect(Math.abs(value - whole[name][i]!), `${name}[${i}]`).toBeLessThanOrEqual(
        2 ** -7 * Math.abs(value) + 1e-6,
      ),
    );
});
