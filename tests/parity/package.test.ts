import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { SafetensorsFile } from '../../src-main/formats/files/safetensors.ts';
import { WeightFolder } from '../../src-main/formats/model/weightFolder.ts';
import { expectWithin } from '../support/parity/parityBounds.ts';
import { logitsOf } from '../support/parity/parityCase.ts';
import { floats, maxDifference } from '../support/parity/recordedValues.ts';
import { fixtures, recorded } from '../support/paths.ts';

/** Adapters that the Python package trained and saved through PEFT (tests/parity/generator/package.py). */
const folder = join(recorded, 'package');
const ids = [1, 20, 33, 47, 5, 90, 14, 8, 61, 77];

function opened(name: string) {
  const adapter = join(folder, name);
  const config = JSON.parse(readFileSync(join(adapter, 'adapter_config.json'), 'utf8')) as {
    base_model_name_or_path: string;
    base_sha256?: string;
  };
  return { adapter, config, model: join(fixtures, config.base_model_name_or_path) };
}

it.each(readdirSync(folder))('computes what the Python package computes: %s', async (name) => {
  const { adapter, model } = opened(name);
  const file = new SafetensorsFile(join(adapter, 'logits.safetensors'), 'internal');
  const theirs = floats(file, 'logits');
  file.close();
  expectWithin('exported logits', name, maxDifference(await logitsOf(model, ids, adapter), theirs));
  // Three steps must have changed something, or equal logits would prove nothing.
  expect(maxDifference(await logitsOf(model, ids, null), theirs)).toBeGreaterThan(0.01);
});

it.each(readdirSync(folder).filter((name) => name.startsWith('idlora')))(
  'knows the base by the same hash as the Python package: %s',
  (name) => {
    const { config, model } = opened(name);
    const weights = new WeightFolder(model);
    expect(config.base_sha256).toBe(weights.contentHash());
    weights.close();
  },
);
