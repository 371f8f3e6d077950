import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { adapterConfigSchema } from '../../../src-main/contract/training.ts';
import { checkMerged } from '../../../src-main/engine/process/mergedCheck.ts';
import { checkAsPeft } from '../../../src-main/engine/process/peftCheck.ts';
import { RowMerger } from '../../../src-main/engine/process/rowMerger.ts';
import { openAdapterFolder } from '../../../src-main/formats/adapter/peftAdapter.ts';
import { readDecoderConfig } from '../../../src-main/formats/families/huggingFaceConfig.ts';
import { asFloat32 } from '../../../src-main/formats/files/floats.ts';
import { layOutModel } from '../../../src-main/formats/gguf/layOutModel.ts';
import { storedType, writeGgufModel } from '../../../src-main/formats/gguf/modelFile.ts';
import { expectedWeights } from '../../../src-main/formats/model/decoderWeights.ts';
import { writeModelFolder } from '../../../src-main/formats/model/modelFolder.ts';
import { ggufWeightName, WeightFolder } from '../../../src-main/formats/model/weightFolder.ts';
import { updateScale } from '../../../src-main/methods/method.ts';
import { greatestDifference } from '../../../src-main/services/exports/engineLogits.ts';
import { adapterSites, modulePath } from '../../../src-main/shape/adapterSites.ts';
import { moduleSize } from '../../../src-main/shape/modelShape.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';
import { adapterFolderOf } from '../../support/parity/parityCase.ts';
import { patchedFolder } from '../../support/patchedFolder.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { tinyLlama } from '../../support/paths.ts';

const folder = adapterFolderOf('tiny-llama-lora')!;
const config = readDecoderConfig(tinyLlama);

/** Where among so many numbers the one stands that is none. */
const places = {
  first: () => 0,
  amid: (length: number) => length >> 1,
  last: (length: number) => length - 1,
};

describe.each(Object.entries(places))('NaN that comes %s', (_, placeIn) => {
  const spoiled = (length: number) =>
    Float32Array.from({ length }, (_, i) => (i === placeIn(length) ? NaN : 0));

  it('is a difference of logits', () => {
    expect(greatestDifference(new Float32Array(9), spoiled(9))).toBeNaN();
  });

  it('in what is merged is no equality', () => {
    const { config: adapter, tensors } = openAdapterFolder(folder);
    tensors.close();
    const base = new WeightFolder(tinyLlama);
    const sites = adapterSites(config, adapter);
    const mergeOf = (path: string) => {
      const [dOut = 0, dIn = 0] = base.info(`${path}.weight`)!.shape;
      return { up: new Float32Array(dOut).fill(1), down: spoiled(dIn), magnitude: null };
    };
    expect(checkMerged(tinyLlama, { base, sites, mergeOf })).toMatchObject({
      isEqual: false,
      maxDifference: Number.MAX_VALUE,
    });
    base.close();
  });

  it('in one module of an adapter is no equality', () => {
    const { config: adapter, tensors, keys } = openAdapterFolder(folder);
    const sites = adapterSites(config, adapter);
    const read = (key: string) => asFloat32(tensors.read(keys.get(key)!), 'F32').slice();
    const check = (isSpoiled: boolean) =>
      checkAsPeft(folder, sites, (path, own) => {
        const b = read(`${path}.lora_B.weight`);
        const { dIn } = moduleSize(config, sites.find(({ site }) => modulePath(site) === path)!.site.module);
        const a = read(`${path}.lora_A.weight`);
        if (isSpoiled) a[placeIn(dIn)] = NaN;
        return { rank: own.rank, a, b, scale: updateScale(own), magnitude: null, weight: () => [] };
      });
    expect(check(false)).toMatchObject({ isEqual: true });
    expect(check(true)).toMatchObject({ isEqual: false, maxDifference: Number.MAX_VALUE });
    tensors.close();
  });
});

/** Rows of 256 numbers, which Q4_K takes. */
const wide = {
  hidden_size: 256,
  intermediate_size: 256,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 64,
};

it.each(['F16', 'BF16', 'Q8_0', 'Q4_K_M'] as const)('a missing update is seen in %s', (type) => {
  const described = patchedFolder('tiny-llama', { 'config.json': wide });
  const own = readDecoderConfig(described);
  const random = createRandom(3);
  const drawn = (length: number, size: number) =>
    Float32Array.from({ length }, () => (random.next() + random.next() - 1) * size);
  const model = join(temporaryFolder(), 'model');
  const tensors = [...expectedWeights(own)].map(([name, shape]) => {
    const values = drawn(
      shape.reduce((product, size) => product * size, 1),
      0.05,
    );
    return { name, dtype: 'F32' as const, shape, data: new Uint8Array(values.buffer) };
  });
  writeModelFolder(model, { base: described, tensors, dtype: 'F32', card: null });
  const base = new WeightFolder(model);
  const adapter = adapterConfigSchema.parse({ method: 'lora', rank: 2, alpha: 2 });
  const sites = adapterSites(own, adapter);
  const updates = new Map(
    sites.map(({ site }) => {
      const { dIn, dOut } = moduleSize(own, site.module);
      // Each number of the update is less than a hundredth of a step of Q4_K.
      const [up, down] = [drawn(2 * dOut, 6e-3), drawn(2 * dIn, 6e-3)];
      return [modulePath(site), { up, down, magnitude: null }];
    }),
  );
  const write = (isMerged: boolean) => {
    const place = temporaryFolder();
    const path = join(place, ggufWeightName);
    const merger = new RowMerger();
    const weights = [...expectedWeights(own)].map(([name, shape]) => ({
      name,
      shape,
      rows(begin: number, end: number) {
        const columns = shape[1] ?? 1;
        const update = (isMerged && updates.get(name.replace(/\.weight$/, ''))) || null;
        merger.load({ name, stored: 'F32', dtype: 'F32', columns, update });
        const bytes = base.readRange(name, 4 * columns * begin, 4 * columns * end);
        const merged = merger.merge(Uint8Array.from(bytes), begin);
        return new Float32Array(merged.buffer, merged.byteOffset, merged.byteLength / 4);
      },
    }));
    const general = [{ key: 'general.name', type: 'string', value: 'base' } as const];
    const said = { chatTemplate: null, general, written: () => undefined };
    writeGgufModel(path, { config: own, folder: model, weights, type, ...said });
    layOutModel(path, place);
    return checkMerged(place, {
      base,
      sites,
      mergeOf: (path) => updates.get(path)!,
      typeOf: (name) => storedType({ name, shape: base.info(name)!.shape }, type, own),
    });
  };
  expect(write(true)).toMatchObject({ isEqual: true, rows: 32 });
  expect(write(false)).toMatchObject({ isEqual: false, rows: 32 });
  base.close();
});
