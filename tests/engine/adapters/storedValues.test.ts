import { join } from 'node:path';
import { expect, it } from 'vitest';
import { checkNoForeignTensors } from '../../../src-main/engine/adapters/storedValues.ts';
import { ModelGraph } from '../../../src-main/engine/model/modelGraph.ts';
import { readDecoderConfig } from '../../../src-main/formats/families/huggingFaceConfig.ts';
import {
  nameOfKey,
  openAdapterFolder,
  writeAdapterFolder,
} from '../../../src-main/formats/adapter/peftAdapter.ts';
import { WeightFolder } from '../../../src-main/formats/model/weightFolder.ts';
import { adapterFolderOf, parityCase } from '../../support/parity/parityCase.ts';
import { fixtures } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

/** Checks the adapter of a recorded case to whose file one tensor has been added. */
function checkWith(name: string, suffix: string): void {
  const recorded = openAdapterFolder(adapterFolderOf(name)!);
  const folder = join(temporaryFolder(), 'adapter');
  writeAdapterFolder(folder, recorded.config, { name: 'base', sha256: 'ab', loadIn8bit: false }, [
    ...[...recorded.tensors.tensors].map(([key, { dtype, shape }]) => ({
      name: nameOfKey(key),
      dtype,
      shape,
      data: recorded.tensors.read(key),
    })),
    {
      name: `model.layers.0.self_attn.q_proj.${suffix}`,
      dtype: 'F32' as const,
      shape: [1],
      data: new Uint8Array(4),
    },
  ]);
  recorded.tensors.close();
  const base = join(fixtures, parityCase(name).model);
  const source = new WeightFolder(base);
  const adapter = openAdapterFolder(folder);
  const model = new ModelGraph({
    config: readDecoderConfig(base),
    source,
    precision: 'f32',
    fusion: false,
    adapter: adapter.config,
  });
  try {
    checkNoForeignTensors(model.adapterParameters, adapter);
  } finally {
    adapter.tensors.close();
    source.close();
  }
}

it('frozen bases written out beside the pivots are not foreign to ID-LoRA', () => {
  expect(() => checkWith('tiny-llama-idlora', 'idlora_A.weight')).not.toThrow();
});

it.each([
  ['tiny-llama-idlora', 'lora_A.weights'],
  ['tiny-llama-lora', 'idlora_A.weight'],
])('refuses what no parameter takes: %s with %s', (name, suffix) => {
  expect(() => checkWith(name, suffix)).toThrow(
    `The adapter has 1 tensors that fit nowhere in this model, for example base_model.model.model.layers.0.self_attn.q_proj.${suffix}.`,
  );
});
