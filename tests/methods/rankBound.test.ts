import { describe, expect, it } from 'vitest';
import { adapterConfigSchema, type AdapterConfig } from '../../src-main/contract/training.ts';
import { createRandom } from '../../src-main/statistics/random.ts';
import type { LinearSize } from '../../src-main/methods/method.ts';
import { methodOf } from '../../src-main/methods/registry.ts';
import { numericRank, plain, plainOps, stacked, transposed, type Plain } from '../support/parity/plainOps.ts';

/**
 * The update's matrix D, [dOut, dIn], of a random adapter with fixed random gates; the same weights for the same seed.
 */
function updateOf(adapter: AdapterConfig, shape: LinearSize, seed: number, gateSeed: number): Plain {
  const { dIn, dOut } = shape;
  const method = methodOf(adapter)!;
  const { next } = createRandom(seed);
  const random = () => 2 * next() - 1;
  const gates = createRandom(gateSeed);
  const weight = plain([dOut, dIn], random);
  const parameters = new Map(
    [...method.parameters(shape, adapter), ...method.sharedParameters(adapter)].map(
      ({ suffix, shape: size, initial }) => [
        suffix,
        // Rows of W, all different.
        initial.kind === 'pivots' ? plain(size, (i) => (i * 5) % dOut) : plain(size, random),
      ],
    ),
  );
  // Fixed gates make the update linear: its columns are the outputs for the unit vectors.
  const x = plain([dIn, dIn], (i) => (Math.floor(i / dIn) === i % dIn ? 1 : 0));
  const base = plainOps((logits) => logits).linear(x, weight);
  const row: number[] = [];
  const ops = plainOps((logits) =>
    plain(logits.shape, (i) => (row[i % logits.shape[1]!] ??= 0.1 + gates.next())),
  );
  const terms = method.forward(ops, {
    config: adapter,
    shape,
    rows: dIn,
    x,
    base,
    weight,
    weightRows: (numbers) => ops.gather(weight, numbers, 0),
    product: (value) => ops.linear(value, weight),
    taskSelection: plain([dIn, adapter.tasks + 1], (i) => (i % (adapter.tasks + 1) === 0 ? 1 : 0)),
    parameter: (suffix) => parameters.get(suffix)!,
    dropout: (value) => value,
  });
  return transposed(ops.subtract(ops.addAll(terms), base));
}

describe('rank bounds are reached by random adapters and not exceeded', () => {
  const shapes: LinearSize[] = [
    { dIn: 12, dOut: 16 },
    { dIn: 18, dOut: 12 },
    { dIn: 24, dOut: 48 },
  ];
  it.each<Partial<AdapterConfig>>([
    { method: 'lora', rank: 3 },
    { method: 'dora', rank: 3 },
    { method: 'hydralora', rank: 2, heads: 3 },
    { method: 'hydralora', rank: 4, heads: 4 },
    { method: 'moelora', rank: 2, experts: 3 },
    { method: 'moelora', rank: 4, experts: 4 },
    { method: 'moelora', rank: 4, experts: 2, gate: 'task', tasks: 2 },
    { method: 'idlora', rank: 4, clusters: 3, boost: 2 },
    { method: 'idlora', rank: 4, clusters: 2, boost: 4 },
    { method: 'idlora', rank: 3, clusters: 4, boost: 1 },
  ])('%j', (options) => {
    const adapter = adapterConfigSchema.parse({ alpha: 1, ...options });
    for (const shape of shapes) {
      const bound = methodOf(adapter)!.rankBound(shape, adapter);
      const updates = [1, 2, 3, 4, 5].map((gateSeed) => updateOf(adapter, shape, 7, gateSeed));
      const found = {
        token: Math.max(...updates.map(numericRank)),
        reads: numericRank(stacked(updates)),
        writes: numericRank(stacked(updates.map(transposed))),
      };
      expect(found, JSON.stringify(shape)).toEqual(bound);
    }
  });
});
