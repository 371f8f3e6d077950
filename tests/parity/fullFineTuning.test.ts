import { expect, it } from 'vitest';
import { baseParameters } from '../../src-main/shape/modelShape.ts';
import {
  lossAndGradients,
  openParityCase,
  parityCase,
  recordedValues,
} from '../support/parity/parityCase.ts';
import { floats, relativeError } from '../support/parity/recordedValues.ts';

/** A separate head; a tied head and biases on q, k, v; norms on q and k; biases on every linear. */
const models = ['tiny-llama', 'tiny-qwen2', 'tiny-qwen3', 'tiny-llama-rope'];

it.each(models)('%s: every base parameter is trained and nothing is added', async (name) => {
  const { model, graph } = await openParityCase(parityCase(`${name}-full`), {});
  expect(model.trainableCount()).toBe(baseParameters(model.config));
  expect(model.baseCount()).toBe(baseParameters(model.config));
  expect(model.frozenExtraCount()).toBe(0);
  graph.session.close();
});

it.each([
  // Biases and norms have XLA functions of their own: the other parity tests fuse tiny-llama only.
  ...['tiny-qwen3', 'tiny-llama-rope'].map((name) => ({
    name,
    precision: 'f32' as const,
    fusion: true,
    bound: 1e-4,
  })),
  // Activations and products have 8 bits; what is trained keeps 24.
  ...models.map((name) => ({ name, precision: 'bf16' as const, fusion: false, bound: 0.1 })),
])(
  '$name, $precision, fusion $fusion: loss and every gradient within $bound',
  async ({ name, bound, ...options }) => {
    const known = parityCase(`${name}-full`);
    const open = await openParityCase(known, { ...options, exposeGradients: true });
    const { loss, gradients } = lossAndGradients(open);
    expect(Math.abs(loss / known.loss - 1)).toBeLessThan(bound);
    const values = recordedValues(known.name);
    for (const [key, gradient] of gradients)
      expect(relativeError(gradient, floats(values, key)), key).toBeLessThan(bound);
    values.close();
    open.graph.session.close();
  },
);
