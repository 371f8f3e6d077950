import { expect, it } from 'vitest';
import { batchFromRows, layOutBatch, layOutPacks } from '../../../src-main/engine/model/batches.ts';
import { optimizerStep } from '../../../src-main/engine/training/optimizerStep.ts';
import {
  lossAndGradients,
  openParityCase,
  parityCase,
  type OpenOptions,
} from '../../support/parity/parityCase.ts';
import { relativeError } from '../../support/parity/recordedValues.ts';

const longestExample = 24;

it.each([
  ['tiny-llama-lora'],
  ['tiny-llama-dora'],
  ['tiny-llama-hydralora'],
  // Rows of several tasks in one line.
  ['tiny-llama-moelora-task'],
  ['tiny-llama-idlora-pivot'],
  // Windows on some layers, on all, and angles that depend on the length of a text.
  ['tiny-gemma3-idlora'],
  ['tiny-mistral-full'],
  ['tiny-phi3-long-lora'],
  // As trainings run: with fused kernels, and with activations that are computed again.
  ['tiny-llama-idlora', { fusion: true }],
  ['tiny-llama-lora', { train: { gradientCheckpointing: true } }],
] as [string, Partial<OpenOptions>?][])(
  '%s: loss and every gradient of rows side by side are those of padded rows (%o)',
  async (name, options = {}) => {
    const known = parityCase(name);
    const padded = await openParityCase(known, { exposeGradients: true });
    const expected = lossAndGradients(padded);
    // Logits are made at the 32 labels alone.
    const layout = { batch: 1, tokens: 64, longestExample, labels: 40 };
    const lined = await openParityCase(known, { ...options, exposeGradients: true, layout });
    // In another order than that of the batch.
    const rows = [lined.rows[2]!, lined.rows[0]!, lined.rows[1]!];
    const { loss, gradients } = lossAndGradients({ ...lined, batch: layOutPacks([rows], layout) });
    expect(Math.abs(loss / expected.loss - 1)).toBeLessThan(1e-5);
    expect(gradients.size).toBe(expected.gradients.size);
    for (const [key, gradient] of gradients)
      expect(
        relativeError(gradient as Float32Array, expected.gradients.get(key) as Float32Array),
        key,
      ).toBeLessThan(1e-5);
    padded.graph.session.close();
    lined.graph.session.close();
  },
);

it.each([1, 2])(
  'steps over lines of several lengths are those of padded rows, %i passes a step',
  async (accumulate) => {
    const train = { learningRate: 2e-3, accumulate };
    const known = parityCase('tiny-llama-idlora');
    const padded = await openParityCase(known, { train, layout: { batch: 2, tokens: longestExample } });
    const layouts = [32, 48].map((tokens) => ({ batch: 1, tokens, longestExample, labels: tokens - 16 }));
    const lined = await openParityCase(known, { train, layout: layouts });
    const rows = {
      row: (index: number) => lined.rows[index]!,
      length: (index: number) => lined.rows[index]!.ids.length,
    };
    const steps = [
      [[0, 1], [2]],
      [
        [2, 1],
        [0, 2],
      ],
      [[1], [2, 0]],
      [[2], [1, 2]],
    ].map((passes) => passes.slice(0, accumulate));
    const seen = new Set<number>();
    steps.forEach((passes, i) => {
      const at = { step: i + 1, update: i + 1, learningRate: 2e-3 };
      const rectangles = passes.map((pass) => layOutBatch(pass.map(rows.row), 2, longestExample));
      const lines = passes.map((pass) =>
        batchFromRows(
          pass.map((row) => [row]),
          rows,
          layouts,
        ),
      );
      lines.forEach(({ ids }) => seen.add(ids.length));
      const expected = optimizerStep(padded.graph, padded.config, rectangles, at);
      const actual = optimizerStep(lined.graph, lined.config, lines, at);
      expect(Math.abs(actual.loss / expected.loss - 1), `loss of step ${i + 1}`).toBeLessThan(1e-5);
      expect(Math.abs(actual.gradNorm / expected.gradNorm - 1), `norm of step ${i + 1}`).toBeLessThan(1e-4);
    });
    expect([...seen].sort((a, b) => a - b)).toEqual([32, 48]);
    expect(() => lined.graph.suffixOf({ ids: new Int32Array(40) })).toThrow('40');
    padded.graph.session.close();
    lined.graph.session.close();
  },
);
