import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { adapterSites, modulePath } from '../../../src-main/shape/adapterSites.ts';
import { readDecoderConfig } from '../../../src-main/formats/families/huggingFaceConfig.ts';
import {
  appliedConfig,
  checkWhole,
  openAdapterFolder,
} from '../../../src-main/formats/adapter/peftAdapter.ts';
import { openPeftUpdate } from '../../../src-main/formats/adapter/peftUpdate.ts';
import { asFloat32 } from '../../../src-main/formats/files/floats.ts';
import { SafetensorsFile, writeSafetensors } from '../../../src-main/formats/files/safetensors.ts';
import { WeightFolder } from '../../../src-main/formats/model/weightFolder.ts';
import { updateScale } from '../../../src-main/methods/method.ts';
import { fixtures } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

/** An adapter folder, and what PEFT adds to the weights of tiny-llama when it loads it (generate_placements.py). */
interface RecordedPlacement {
  config: Record<string, unknown>;
  tensors: Record<string, number[]>;
  /** What was added to the embedding that was saved beside the adapter; null: it was saved as it is, or not at all. */
  embedding: number | null;
  updates: Record<string, { sum: number; squares: number; first: number[] }>;
}

const recorded = JSON.parse(
  readFileSync(join(import.meta.dirname, 'recorded', 'placements.json'), 'utf8'),
) as Record<string, RecordedPlacement>;
const model = join(fixtures, 'tiny-llama');
const weights = new WeightFolder(model);
afterAll(() => weights.close());

function baseValues(name: string): Float32Array {
  return asFloat32(weights.read(name), weights.info(name)!.dtype);
}

/** The numbers of the generator, for a key in any of its spellings. */
function tensorOf(key: string, { embedding, tensors }: RecordedPlacement): Float32Array {
  const name = key.replace('base_model.model.', '');
  if (weights.info(name)) return baseValues(name).map((number) => number + (embedding ?? 0));
  const plain = key.replace(/\.(default|other)\b/, '').replace('_vector.weight', '_vector');
  const salt = Buffer.from(plain).reduce((sum, byte) => sum + byte, 0) % 97;
  const isMagnitude = plain.endsWith('_vector');
  const count = tensors[key]!.reduce((a, b) => a * b, 1);
  return Float32Array.from({ length: count }, (_, i) => {
    const number = (((i * 31 + salt * 7) % 23) - 11) / 64;
    return isMagnitude ? Math.abs(number) + 1 : number;
  });
}

/** Writes the adapter folder of a case. */
function folderOf(entry: RecordedPlacement): string {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify(entry.config));
  writeSafetensors(
    join(folder, 'adapter_model.safetensors'),
    Object.entries(entry.tensors).map(([key, shape]) => ({
      name: key,
      dtype: 'F32' as const,
      shape,
      data: new Uint8Array(tensorOf(key, entry).buffer),
    })),
  );
  return folder;
}

/** What PEFT reads and the studio refuses, by name. */
const refused: Record<string, RegExp> = {
  "keys with another adapter's name": /belongs to an adapter named "other"/,
  'a key that PEFT does not know': /use_tomorrow true, an option of a newer or changed PEFT/,
};

describe.each(Object.entries(recorded).filter(([name]) => !(name in refused)))('%s', (_, entry) => {
  const adapted = Object.keys(entry.updates).filter((path) => path.startsWith('model.layers.'));
  const config = readDecoderConfig(model);

  it('is where PEFT adapts, with the update that PEFT computes', () => {
    const folder = openAdapterFolder(folderOf(entry));
    try {
      checkWhole(config, folder);
      const sites = adapterSites(config, appliedConfig(folder));
      expect(sites.map(({ site }) => modulePath(site)).sort()).toEqual(adapted.sort());
      for (const { site, adapter } of sites) {
        const path = modulePath(site);
        const read = (suffix: string) =>
          new Float32Array(
            Uint8Array.from(folder.tensors.read(folder.keys.get(`${path}.${suffix}`)!)).buffer,
          );
        const [a, b] = [read('lora_A.weight'), read('lora_B.weight')];
        if (adapter.method === 'dora') {
          expect(read('lora_magnitude_vector')).toHaveLength(b.length / adapter.rank);
          continue;
        }
        const dIn = a.length / adapter.rank;
        let sum = 0;
        for (let row = 0; row < b.length / adapter.rank; row++)
          for (let k = 0; k < adapter.rank; k++)
            for (let i = 0; i < dIn; i++)
              sum += updateScale(adapter) * b[row * adapter.rank + k]! * a[k * dIn + i]!;
        expect(sum).toBeCloseTo(entry.updates[path]!.sum, 3);
      }
    } finally {
      folder.tensors.close();
    }
  });
});

it.each(Object.entries(refused))('%s: refused by name', (name, message) => {
  expect(() => openAdapterFolder(folderOf(recorded[name]!))).toThrow(message);
});

it.each(['as PEFT writes it', 'dora', 'full paths', 'suffixes in one layer', 'patterns'])(
  'plain arithmetic by the rules of PEFT gives the update of PEFT: %s',
  (name) => {
    const entry = recorded[name]!;
    const folder = folderOf(entry);
    // The studio writes a list of layers.
    const { layers_to_transform: layer, ...rest } = entry.config;
    const config = { ...rest, ...(layer !== undefined && { layers_to_transform: [layer].flat() }) };
    writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify(config));
    const update = openPeftUpdate(folder);
    expect(update.unread).toEqual([]);
    expect(update.paths.sort()).toEqual(Object.keys(entry.updates).sort());
    for (const path of update.paths) {
      const { shape } = weights.info(`${path}.weight`)!;
      const base = baseValues(`${path}.weight`);
      const dIn = shape[1]!;
      const rows = update.rows(path, [...Array(shape[0]).keys()], (row) =>
        base.subarray(row * dIn, (row + 1) * dIn),
      );
      const all = rows.flatMap((row) => [...row]);
      const expected = entry.updates[path]!;
      expect(all.reduce((sum, number) => sum + number * number, 0)).toBeCloseTo(expected.squares, 4);
      expected.first.forEach((number, i) => expect(all[i]).toBeCloseTo(number, 6));
    }
    update.close();
  },
);

it('plain arithmetic finds tensors that PEFT would not read', () => {
  const entry = recorded['as PEFT writes it']!;
  const folder = folderOf({ ...entry, config: { ...entry.config, target_modules: ['v_proj'] } });
  const update = openPeftUpdate(folder);
  expect(update.paths).toEqual(['model.layers.0.self_attn.v_proj', 'model.layers.1.self_attn.v_proj']);
  expect(update.unread).toHaveLength(4);
  update.close();
  const file = new SafetensorsFile(join(folder, 'adapter_model.safetensors'), 'adapter_invalid');
  expect(file.tensors.size).toBe(8);
  file.close();
});
