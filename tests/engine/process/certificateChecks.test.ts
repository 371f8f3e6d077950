import { describe, expect, it } from 'vitest';
import { checkMerged } from '../../../src-main/engine/process/mergedCheck.ts';
import { checkAsPeft } from '../../../src-main/engine/process/peftCheck.ts';
import { openAdapterFolder } from '../../../src-main/formats/adapter/peftAdapter.ts';
import { readDecoderConfig } from '../../../src-main/formats/families/huggingFaceConfig.ts';
import { asFloat32 } from '../../../src-main/formats/files/floats.ts';
import { WeightFolder } from '../../../src-main/formats/model/weightFolder.ts';
import { updateScale } from '../../../src-main/methods/method.ts';
import { greatestDifference } from '../../../src-main/services/exports/engineLogits.ts';
import { adapterSites, modulePath } from '../../../src-main/shape/adapterSites.ts';
import { moduleSize } from '../../../src-main/shape/modelShape.ts';
import { adapterFolderOf } from '../../support/parity/parityCase.ts';
import { tinyLlama } from '../../support/trainingRun.ts';

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
