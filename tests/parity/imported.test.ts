import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { adoptAdapter } from '../../src-main/engine/process/adoptAdapter.ts';
import { openAdapterFolder } from '../../src-main/formats/adapter/peftAdapter.ts';
import { trainedFolder } from '../../src-main/formats/checkpoint/checkpointFolder.ts';
import { SafetensorsFile } from '../../src-main/formats/files/safetensors.ts';
import { expectWithin } from '../support/parity/parityBounds.ts';
import { logitsOf } from '../support/parity/parityCase.ts';
import { floats, maxDifference } from '../support/parity/recordedValues.ts';
import { fixtures, recorded } from '../support/paths.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

/** Adapters that PEFT trained and saved (tests/parity/generator/elsewhere.py, package.py). */
const cases = ['elsewhere', 'package'].flatMap((kind) =>
  readdirSync(join(recorded, kind)).map((name) => join(kind, name)),
);
const ids = [1, 20, 33, 47, 5, 90, 14, 8, 61, 77];

/** Takes an adapter in as the checkpoint of a run. */
function adopted(name: string) {
  const adapterFolder = join(recorded, name);
  const config = JSON.parse(readFileSync(join(adapterFolder, 'adapter_config.json'), 'utf8')) as {
    base_model_name_or_path: string;
  };
  const modelFolder = join(fixtures, config.base_model_name_or_path);
  const checkpointFolder = temporaryFolder();
  const result = adoptAdapter(
    { kind: 'adopt', modelFolder, adapterFolder, checkpointFolder },
    () => undefined,
  );
  const folder = trainedFolder(join(checkpointFolder, '00000000'), result.adapter.method);
  return { adapterFolder, modelFolder, folder, result };
}

it.each(cases)('a run of an imported adapter computes what PEFT computes: %s', async (name) => {
  const { adapterFolder, modelFolder, folder } = adopted(name);
  const file = new SafetensorsFile(join(adapterFolder, 'logits.safetensors'), 'internal');
  const theirs = floats(file, 'logits');
  file.close();
  expectWithin('imported logits', name, maxDifference(await logitsOf(modelFolder, ids, folder), theirs));
  // Three steps must have changed something, or equal logits would prove nothing.
  expect(maxDifference(await logitsOf(modelFolder, ids, null), theirs)).toBeGreaterThan(0.01);
});

it('the run knows what it holds: single modules by their paths, numbers in f32, no second embedding', () => {
  const uneven = adopted('elsewhere/lora-uneven').result;
  expect(uneven.adapter).toMatchObject({ dropout: 0.1, layers: [0, 1] });
  expect(uneven.adapter.paths).toEqual([
    'model.layers.0.self_attn.q_proj',
    'model.layers.1.mlp.gate_proj',
    'model.layers.1.mlp.up_proj',
    'model.layers.1.self_attn.q_proj',
  ]);
  const narrow = openAdapterFolder(adopted('elsewhere/lora-bf16').folder);
  expect([...narrow.tensors.tensors.values()].map(({ dtype }) => dtype)).toEqual(Array(8).fill('F32'));
  narrow.tensors.close();
  const whole = adopted('elsewhere/lora-embeddings');
  // Gemma's head shares the embedding: PEFT saves it under both names.
  expect(whole.result.sameWeights).toEqual(['lm_head.weight', 'model.embed_tokens.weight']);
  const kept = openAdapterFolder(whole.folder);
  expect([...kept.keys.keys()].filter((key) => !key.includes('_proj.lora_'))).toEqual([]);
  kept.tensors.close();
});
