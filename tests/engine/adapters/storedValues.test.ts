import { join } from 'node:path';
import { expect, it } from 'vitest';
import { checkTensors, storedValue } from '../../../src-main/engine/adapters/storedValues.ts';
import { ModelGraph } from '../../../src-main/engine/model/modelGraph.ts';
import { readDecoderConfig } from '../../../src-main/formats/families/huggingFaceConfig.ts';
import {
  nameOfKey,
  openAdapterFolder,
  writeAdapterFolder,
  type AdapterFolder,
  type AdapterTensor,
} from '../../../src-main/formats/adapter/peftAdapter.ts';
import type { StudioError } from '../../../src-main/contract/errors.ts';
import { adapterConfigSchema } from '../../../src-main/contract/training.ts';
import { asFloat32 } from '../../../src-main/formats/files/floats.ts';
import { WeightFolder } from '../../../src-main/formats/model/weightFolder.ts';
import { adapterFolderOf, parityCase } from '../../support/parity/parityCase.ts';
import { fixtures } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

/** Checks the adapter of a recorded case to whose file one tensor has been added. */
function checkWith(name: string, suffix: string): void {
  const recorded = openAdapterFolder(adapterFolderOf(name)!);
  const folder = join(temporaryFolder(), 'adapter');
  writeAdapterFolder(folder, recorded.config, { name: 'base', sha256: 'ab', quantization: 'none' }, [
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
    checkTensors(model.adapterParameters, adapter, source);
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
    expect.objectContaining({
      message: `The adapter has 1 tensors that fit nowhere in this model, for example base_model.model.model.layers.0.self_attn.q_proj.${suffix}.`,
      // The module is there: another base would not help.
      remedy: expect.stringMatching(/merge the adapter/) as string,
    }) as Error,
  );
});

it('says what helps with a tensor that cannot be taken', () => {
  const name = 'tiny-llama-idlora';
  const base = join(fixtures, parityCase(name).model);
  const source = new WeightFolder(base);
  const recorded = openAdapterFolder(adapterFolderOf(name)!);
  const model = new ModelGraph({
    config: readDecoderConfig(base),
    source,
    precision: 'f32',
    fusion: false,
    adapter: recorded.config,
  });
  /** What is said of the pivots, or the first factors, where they are stored otherwise. */
  const remedyFor = (
    dtype: 'I32' | 'F32',
    change: (data: Uint8Array, key: string) => Partial<AdapterTensor> | null,
  ) => {
    const parameter = model.adapterParameters.find(({ spec }) => spec.dtype === dtype.toLowerCase())!;
    const tensors = [...recorded.tensors.tensors].flatMap(([key, { dtype: type, shape }]) => {
      const data = Uint8Array.from(recorded.tensors.read(key));
      const tensor = { name: nameOfKey(key), dtype: type, shape, data };
      if (tensor.name !== parameter.variable.name) return [tensor];
      const changed = change(data, key);
      return changed ? [{ ...tensor, ...changed }] : [];
    });
    const folder = join(temporaryFolder(), 'adapter');
    writeAdapterFolder(
      folder,
      recorded.config,
      { name: 'base', sha256: 'ab', quantization: 'none' },
      tensors,
    );
    const adapter = openAdapterFolder(folder);
    try {
      storedValue(parameter, adapter);
      return null;
    } catch (error) {
      return (error as StudioError).remedy;
    } finally {
      adapter.tensors.close();
    }
  };
  const otherBase = /^Choose the base model that the adapter was trained on/;
  const firstRow = (row: number) => (data: Uint8Array) => {
    new Int32Array(data.buffer)[0] = row;
    return {};
  };
  expect(remedyFor('I32', () => ({}))).toBeNull();
  expect(remedyFor('I32', firstRow(1_000_000))).toMatch(otherBase);
  expect(remedyFor('F32', (data) => ({ shape: [data.length / 4, 1] }))).toMatch(otherBase);
  for (const remedy of [
    remedyFor('I32', (data) => firstRow(new Int32Array(data.buffer)[1]!)(data)),
    remedyFor('I32', () => ({ dtype: 'F32' })),
    remedyFor('F32', () => ({ dtype: 'I32' })),
    remedyFor('F32', () => null),
  ])
    expect(remedy).toMatch(/^(Save it as|Copy the adapter’s files)/);
  recorded.tensors.close();
  source.close();
});

/** Checks a LoRA adapter beside which a weight of the base was saved. */
function checkSaved(name: string, change: number, rows?: number): void {
  const base = join(fixtures, 'tiny-llama');
  const source = new WeightFolder(base);
  const { dtype, shape } = source.info(name)!;
  const values = asFloat32(source.read(name), dtype).map((value) => value + change);
  const data = new Uint8Array(rows === undefined ? values.buffer : values.slice(0, rows * shape[1]!).buffer);
  try {
    checkTensors(
      [],
      savedBeside({ name, dtype: 'F32', shape: [rows ?? shape[0]!, ...shape.slice(1)], data }),
      source,
    );
  } finally {
    source.close();
  }
}

function savedBeside(tensor: AdapterTensor): AdapterFolder {
  const folder = join(temporaryFolder(), 'adapter');
  const adapter = adapterConfigSchema.parse({ method: 'lora', rank: 4, alpha: 8 });
  writeAdapterFolder(folder, adapter, { name: 'base', sha256: 'ab', quantization: 'none' }, [tensor]);
  return openAdapterFolder(folder);
}

it('a weight of the base that was saved beside the adapter as it is changes nothing', () => {
  expect(() => checkSaved('model.embed_tokens.weight', 0)).not.toThrow();
  expect(() => checkSaved('model.norm.weight', 0)).not.toThrow();
});

it.each<[string, number, number | undefined]>([
  ['model.embed_tokens.weight', 1e-3, undefined],
  ['model.embed_tokens.weight', 0, 50],
  ['lm_head.weight', 0.5, undefined],
])('a changed weight of the base is refused by name: %s', (name, change, rows) => {
  expect(() => checkSaved(name, change, rows)).toThrow(
    expect.objectContaining({
      code: 'model_unsupported',
      message: `The adapter replaces ${name} of the base model by another tensor, which the studio does not read.`,
    }) as Error,
  );
});

it('an adapter that fits nowhere names the base that it was trained on', () => {
  const empty = { info: () => null, read: () => new Uint8Array() };
  const tensor = { name: 'model.x.weight', dtype: 'F32', shape: [1], data: new Uint8Array(4) } as const;
  expect(() => checkTensors([], savedBeside(tensor), empty)).toThrow(
    expect.objectContaining({
      remedy: expect.stringContaining('adapter_config.json names base') as string,
    }) as Error,
  );
});
