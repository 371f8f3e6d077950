import { describe, expect, it } from 'vitest';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TrainConfigInput } from '../../../src-main/contract/training.ts';
import { asKept } from '../../../src-main/engine/model/baseWeights.ts';
import { rowScaled } from '../../../src-main/engine/model/rowScaled.ts';
import { asFloat32 } from '../../../src-main/formats/files/floats.ts';
import { writeModelFolder } from '../../../src-main/formats/model/modelFolder.ts';
import { WeightFolder } from '../../../src-main/formats/model/weightFolder.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { tinyLlama } from '../../support/paths.ts';
import { trainTiny } from '../../support/trainingRun.ts';

const linear = /\.(q|k|v|o|gate|up|down)_proj\.weight$/;

const kinds = [
  { kind: 'int8', kept: { loadIn8bit: true }, bits: 8 },
  { kind: 'nf4', kept: { loadIn4bit: true }, bits: 4 },
] as const;

/** tiny-llama with every linear weight rounded as it is in a base of so many bits, in f32. */
function roundedModel(kind: 'int8' | 'nf4'): string {
  const folder = join(temporaryFolder(), 'rounded');
  const weights = new WeightFolder(tinyLlama);
  try {
    const rounded = asKept(weights, kind);
    const tensors = weights.names.map((name) => {
      const { dtype, shape } = weights.info(name)!;
      const wide = linear.test(name)
        ? rounded.read(name)
        : new Uint8Array(Float32Array.from(asFloat32(weights.read(name), dtype)).buffer);
      return { name, dtype: 'F32' as const, shape, data: () => wide };
    });
    writeModelFolder(folder, { base: tinyLlama, tensors, dtype: 'F32', card: null });
  } finally {
    weights.close();
  }
  return folder;
}

const losses = async (config: TrainConfigInput, modelFolder = tinyLlama, fusion = false) => {
  const { events } = await trainTiny({ config, modelFolder, fusion, folder: temporaryFolder() });
  return events.flatMap((event) => (event.type === 'step' ? [event.loss] : []));
};

describe('a base in 8 bits', () => {
  it.each([Number.NaN, Infinity])('hides no %s of the model', (damage) => {
    const weights = Float32Array.of(1, damage, 0.5, 2);
    const { values, scales } = rowScaled(new Uint8Array(weights.buffer), 'F32', 2);
    expect(values[0]! * scales[0]!).toBeNaN();
    expect(values[3]! * scales[1]!).toBeCloseTo(2, 6);
  });

  it('rounds each row to 127 steps of its greatest weight', () => {
    const weights = Float32Array.of(1, -0.5, 0.25, 0, 0, 0, -2, 4, 0.01);
    const { values, scales } = rowScaled(new Uint8Array(weights.buffer), 'F32', 3);
    expect([...values]).toEqual([127, -63, 32, 0, 0, 0, -63, 127, 0]);
    expect(scales[0]).toBeCloseTo(1 / 127, 9);
    expect(scales[1]).toBe(0);
    for (const [i, weight] of weights.entries()) {
      const scale = scales[Math.floor(i / 3)]!;
      expect(Math.abs(values[i]! * scale - weight)).toBeLessThanOrEqual(scale / 2 + 1e-7);
    }
  });
});

describe.each(kinds)('a base in $bits bits', ({ kind, kept, bits }) => {
  it.each([
    ['lora', {}],
    ['dora', { dropout: 0.1 }],
    ['idlora', { clusters: 2 }],
    ['hydralora', {}],
    ['moelora', {}],
  ] as const)(
    '%s trains as on the rounded model in f32: start, forward and every gradient',
    async (method, rest) => {
      const config = (how: Partial<TrainConfigInput>): TrainConfigInput => ({
        adapter: { method, rank: 4, alpha: 8, ...rest },
        maxSteps: 12,
        learningRate: 1e-2,
        batch: 4,
        context: 32,
        ...how,
      });
      const rounded = await losses(config({}), roundedModel(kind));
      const quantized = await losses(config(kept));
      const plain = await losses(config({}));
      expect(quantized.length).toBe(12);
      for (const [step, loss] of quantized.entries())
        expect(Math.abs(loss / rounded[step]! - 1), `${method} step ${step}`).toBeLessThan(2e-4);
      // It is another base than the exact one, and not far from it.
      expect(quantized).not.toEqual(plain);
      expect(Math.abs(quantized.at(-1)! / plain.at(-1)! - 1)).toBeLessThan(kind === 'nf4' ? 0.2 : 0.05);
    },
  );

  it('is named in the model card of what was trained on it', async () => {
    const card = async (how: Partial<TrainConfigInput>) => {
      const config = { adapter: { method: 'lora', rank: 4, alpha: 8 }, maxSteps: 1, ...how } as const;
      const { result } = await trainTiny({ config, folder: temporaryFolder() });
      return readFileSync(join(result.checkpoint!, 'adapter', 'README.md'), 'utf8');
    };
    expect(await card(kept)).toContain(`rounded to ${bits} bits`);
    expect(await card({})).not.toMatch(/rounded to/);
  });

  it('trains in bf16, with checkpointing and compiled, to about the same losses', async () => {
    const config = (rest: Partial<TrainConfigInput>): TrainConfigInput => ({
      adapter: { method: 'lora', rank: 4, alpha: 8 },
      maxSteps: 8,
      learningRate: 1e-2,
      batch: 4,
      context: 32,
      ...kept,
      ...rest,
    });
    const plain = await losses(config({}));
    const others = [
      await losses(config({ gradientCheckpointing: true })),
      await losses(config({}), tinyLlama, true),
      await losses(config({ precision: 'bf16' })),
    ];
    for (const [i, list] of others.entries())
      for (const [step, loss] of list.entries())
        expect(Math.abs(loss / plain[step]! - 1), `${i} step ${step}`).toBeLessThan(i === 2 ? 0.02 : 1e-4);
  });

  it('refuses full fine-tuning with the reason', async () => {
    const config = { adapter: { method: 'full', rank: 1, alpha: 1 }, maxSteps: 1, ...kept } as const;
    await expect(losses(config)).rejects.toMatchObject({
      code: 'config_invalid',
      message: `Full fine-tuning trains the base: its weights cannot be kept in ${bits} bits.`,
      option: [`loadIn${bits}bit`],
    });
  });
});

it('a base is not kept in 8 bits and in 4 at once', async () => {
  const config = {
    adapter: { method: 'lora', rank: 4, alpha: 8 },
    loadIn8bit: true,
    loadIn4bit: true,
  } as const;
  await expect(losses(config)).rejects.toMatchObject({ code: 'config_invalid', option: ['loadIn4bit'] });
});
