import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { baseBytes } from '../../../src-main/budget/forecast/memory.ts';
import type { Quantization } from '../../../src-main/contract/training.ts';
import { elementCount } from '../../../src-main/engine/graph/dtype.ts';
import { Graph } from '../../../src-main/engine/graph/graph.ts';
import { logits } from '../../../src-main/engine/inference/logits.ts';
import { BaseWeights } from '../../../src-main/engine/model/baseWeights.ts';
import { nf4ScaleMap } from '../../../src-main/engine/model/nf4.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';
import { readDecoderConfig } from '../../../src-main/formats/families/huggingFaceConfig.ts';
import { WeightFolder } from '../../../src-main/formats/model/weightFolder.ts';
import { readModel } from '../../../src-main/services/models/modelImport.ts';
import { baseParameters, linearModules, moduleSize } from '../../../src-main/shape/modelShape.ts';
import { asFloat32 } from '../../../src-main/formats/files/floats.ts';
import { SafetensorsFile, writeSafetensors } from '../../../src-main/formats/files/safetensors.ts';
import { recorded } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const { tf } = loadTensorflow();

/** The recorded model in NF4 without double quantization, of weights that were f32. */
function withoutDoubleQuantization(): string {
  const folder = join(temporaryFolder(), 'plain');
  const from = join(recorded, 'packed', 'model');
  cpSync(from, folder, { recursive: true });
  const file = new SafetensorsFile(join(from, 'model.safetensors'), 'model_invalid');
  const made = [...file.tensors.values()].flatMap(({ name, dtype, shape }) => {
    const tensor = (data: Uint8Array, as = dtype, sizes: readonly number[] = shape) => [
      { name, dtype: as as 'F32' | 'U8' | 'BF16', shape: sizes, data: () => data },
    ];
    if (name.includes('.nested_')) return [];
    if (name.includes('.quant_state.')) {
      const {
        quant_type,
        blocksize,
        shape: sizes,
      } = JSON.parse(Buffer.from(file.read(name)).toString()) as Record<string, unknown>;
      const text = JSON.stringify({ quant_type, blocksize, dtype: 'float32', shape: sizes });
      return tensor(Buffer.from(text), 'U8', [Buffer.byteLength(text)]);
    }
    if (!name.endsWith('.absmax')) return tensor(file.read(name));
    const outer = asFloat32(file.read(name.replace('absmax', 'nested_absmax')), 'F32');
    const scales = Float32Array.from(
      file.read(name),
      (code, i) => 0.3 + Math.abs(nf4ScaleMap[code]! * outer[Math.floor(i / 256)]!),
    );
    return tensor(new Uint8Array(scales.buffer), 'F32');
  });
  file.close();
  writeSafetensors(join(folder, 'model.safetensors'), made);
  return folder;
}

it('a base in NF4 whose scales are stored in f32 is foreseen with them, by its configuration', () => {
  const folder = withoutDoubleQuantization();
  expect(readDecoderConfig(folder).hasPlainNf4Scales).toBeUndefined();
  const file = join(folder, 'config.json');
  const written = readFileSync(file, 'utf8');
  writeFileSync(
    file,
    written.replace('"bnb_4bit_use_double_quant": true', '"bnb_4bit_use_double_quant": false'),
  );
  const { plain, quantized, ...shape } = bytesOf(readModel(folder));
  const source = new WeightFolder(folder);
  const weights = new BaseWeights(new Graph({ fusion: false }), source, {
    dtype: 'f32',
    trained: null,
    quantization: 'nf4',
  });
  for (const name of source.names) if (/proj\.weight$/.test(name)) weights.linear(name);
  const kept = weights.targets().reduce((bytes, { variable, stored }) => {
    return bytes + elementCount(variable.shape) * (stored === 'u8' ? 1 : 4);
  }, 0);
  source.close();
  expect(plain - 4 * shape.others).toBe(kept);
  expect(plain).toBeGreaterThan(quantized);
});

/** What is foreseen of a model in 4 bits, and how many of its numbers stay in f32. */
function bytesOf({ config }: ReturnType<typeof readModel>) {
  const linear = linearModules(config).map((module) => moduleSize(config, module));
  const numbers = linear.reduce((sum, { dIn, dOut }) => sum + config.layers * dIn * dOut, 0);
  return {
    plain: baseBytes(config, 4, 'nf4'),
    quantized: baseBytes({ ...config, hasPlainNf4Scales: false }, 4, 'nf4'),
    others: baseParameters(config) - numbers,
  };
}

it('a base in NF4 whose scales are stored in f32 is kept with these', async () => {
  const folder = withoutDoubleQuantization();
  const { ids } = JSON.parse(readFileSync(join(recorded, 'packed', 'logits.json'), 'utf8')) as {
    ids: number[];
  };
  const computed = async (quantization: Quantization, fusion: boolean) => {
    const outFile = join(temporaryFolder(), 'logits.safetensors');
    const model = { folder, precision: 'f32', adapterFolder: null, quantization } as const;
    const context = {
      tf,
      fusion,
      products: 'native',
      emit: () => undefined,
      stopRequested: async () => null,
    };
    await logits({ kind: 'logits', model, ids, outFile }, context as Parameters<typeof logits>[1]);
    const file = new SafetensorsFile(outFile, 'model_invalid');
    const values = asFloat32(file.read('logits'), 'F32');
    file.close();
    return values;
  };
  const widened = await computed('none', false);
  const most = widened.reduce((greatest, value) => Math.max(greatest, Math.abs(value)), 0);
  expect(most).toBeGreaterThan(0.1);
  for (const fusion of [false, true]) {
    const kept = await computed('nf4', fusion);
    // Scales in 8 bits would be off by hundredths.
    kept.forEach((value, i) => expect(Math.abs(value - widened[i]!)).toBeLessThan(1e-5 * Math.max(1, most)));
  }
});
