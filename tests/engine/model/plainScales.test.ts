import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Quantization } from '../../../src-main/contract/training.ts';
import { logits } from '../../../src-main/engine/inference/logits.ts';
import { nf4ScaleMap } from '../../../src-main/engine/model/nf4.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';
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
