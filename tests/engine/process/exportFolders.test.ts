import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { adapterConfigSchema, type AdapterConfig } from '../../../src-main/contract/training.ts';
import { exportAdapter, exportModel } from '../../../src-main/engine/process/exportFolders.ts';
import type { ExportRequest } from '../../../src-main/engine/protocol.ts';
import { openAdapterFolder } from '../../../src-main/formats/adapter/peftAdapter.ts';
import {
  SafetensorsFile,
  writeSafetensors,
  type TensorToWrite,
} from '../../../src-main/formats/files/safetensors.ts';
import { findContradictions } from '../../../src-main/formats/model/contradictions.ts';
import { writeModelFolder } from '../../../src-main/formats/model/modelFolder.ts';
import { WeightFolder } from '../../../src-main/formats/model/weightFolder.ts';
import { adapterFolderOf, parityCase } from '../../support/parity/parityCase.ts';
import { patchedFolder } from '../../support/patchedFolder.ts';
import { fixtures } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

/** The export of a recorded adapter, as if a run had trained it. */
function requestOf(name: string, changes: Partial<AdapterConfig> = {}): ExportRequest {
  const checkpoint = temporaryFolder();
  cpSync(adapterFolderOf(name)!, join(checkpoint, 'adapter'), { recursive: true });
  const recorded = openAdapterFolder(join(checkpoint, 'adapter'));
  recorded.tensors.close();
  return {
    kind: 'export',
    format: 'peft',
    modelFolder: join(fixtures, parityCase(name).model),
    baseName: 'organization/base',
    checkpoint,
    adapter: { ...recorded.config, ...changes },
    loadIn8bit: false,
    outFolder: join(temporaryFolder(), 'out'),
  };
}

/** Every file of a folder as text. */
function texts(folder: string): [string, string][] {
  return readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'latin1')]);
}

describe('an exported adapter, by the rules of PEFT', () => {
  it.each([
    'tiny-llama-lora',
    'tiny-llama-lora-patterns',
    'tiny-llama-lora-placed',
    'tiny-phi3-lora',
    'tiny-qwen2-lora-last-layer',
  ])('%s means what the run trained', (name) => {
    const { peft } = exportAdapter(requestOf(name));
    expect(peft).toMatchObject({ isEqual: true, modules: peft!.expectedModules });
    expect(peft!.rows).toBeGreaterThan(8);
    expect(peft!.maxDifference).toBeLessThan(1e-9);
  });

  it('of DoRA means what the run trained', () => {
    const request = requestOf('tiny-llama-lora');
    const config = join(request.checkpoint, 'adapter', 'adapter_config.json');
    writeFileSync(config, JSON.stringify({ ...JSON.parse(readFileSync(config, 'utf8')), use_dora: true }));
    addMagnitudes(join(request.checkpoint, 'adapter'));
    const { peft } = exportAdapter({ ...request, adapter: { ...request.adapter, method: 'dora' } });
    expect(peft).toMatchObject({ isEqual: true });
  });

  it.each<[string, Partial<AdapterConfig>]>([
    ['another alpha', { alpha: 3 }],
    ['another rule of scaling', { rankStabilized: true }],
    [
      'more modules',
      { targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'], layers: [0] },
    ],
  ])('with %s in its files than in the run is not equal', (_, changes) => {
    expect(exportAdapter(requestOf('tiny-llama-lora', changes)).peft).toMatchObject({ isEqual: false });
  });

  it('names the joined projections of Phi-3 as the model does', () => {
    const request = requestOf('tiny-phi3-lora');
    const config = join(request.checkpoint, 'adapter', 'adapter_config.json');
    const separate = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'] as const;
    const known = JSON.parse(readFileSync(config, 'utf8')) as { target_modules: string[] };
    const targets = separate.filter(
      (target) => known.target_modules.includes(target) || /^([qkv]|gate|up)_/.test(target),
    );
    writeFileSync(config, JSON.stringify({ ...known, target_modules: targets }));
    const { peft } = exportAdapter({ ...request, adapter: { ...request.adapter, targets } });
    expect(peft).toMatchObject({ isEqual: true });
    const written = JSON.parse(
      readFileSync(join(request.outFolder, 'adapter_config.json'), 'utf8'),
    ) as object;
    expect(written).toMatchObject({ target_modules: expect.arrayContaining(['qkv_proj']) as string[] });
  });

  it('is not asked for where PEFT has no such method', () => {
    expect(exportAdapter(requestOf('tiny-llama-idlora')).peft).toBeNull();
  });
});

/** Adds DoRA's magnitudes to a LoRA adapter. */
function addMagnitudes(folder: string): void {
  const adapter = openLora(folder);
  rmSync(join(folder, 'adapter_model.safetensors'));
  writeSafetensors(join(folder, 'adapter_model.safetensors'), [
    ...adapter,
    ...adapter
      .filter(({ name }) => name.endsWith('lora_B.weight'))
      .map(({ name, shape }) => ({
        name: name.replace('lora_B.weight', 'lora_magnitude_vector'),
        dtype: 'F32' as const,
        shape: [shape[0]!],
        data: new Uint8Array(Float32Array.from({ length: shape[0]! }, (_, i) => 1 + (i % 5) / 7).buffer),
      })),
  ]);
}

function openLora(folder: string): TensorToWrite[] {
  const file = new SafetensorsFile(join(folder, 'adapter_model.safetensors'), 'adapter_invalid');
  const tensors = [...file.tensors.values()].map(({ name, dtype, shape }) => ({
    name,
    dtype,
    shape,
    data: Uint8Array.from(file.read(name)),
  }));
  file.close();
  return tensors;
}

it('files hold the name of the base and no path of this machine', () => {
  const request = requestOf('tiny-llama-idlora');
  const { files } = exportAdapter(request);
  for (const [name, text] of texts(request.outFolder)) {
    expect(files).toContain(name);
    expect(text, name).not.toContain(fixtures);
  }
  const config = JSON.parse(readFileSync(join(request.outFolder, 'adapter_config.json'), 'utf8')) as object;
  expect(config).toMatchObject({ base_model_name_or_path: 'organization/base' });
  expect(readFileSync(join(request.outFolder, 'README.md'), 'utf8')).toContain('organization/base');
});

it.each([
  ['/home/me/models/tiny', 'tiny'],
  ['/home/me/hub/models--meta-llama--Llama-3.2-1B/snapshots/4e20de36', 'meta-llama/Llama-3.2-1B'],
])('a base that is only known by its folder %s is called %s', (baseName, expected) => {
  const request = { ...requestOf('tiny-llama-lora'), baseName };
  exportAdapter(request);
  const config = JSON.parse(readFileSync(join(request.outFolder, 'adapter_config.json'), 'utf8')) as object;
  expect(config).toMatchObject({ base_model_name_or_path: expected });
  expect(
    texts(request.outFolder)
      .map(([, text]) => text)
      .join(),
  ).not.toContain('/home/me');
});

it('a whole model says of its output layer what its weights are', () => {
  const base = patchedFolder('tiny-llama', { 'config.json': { tie_word_embeddings: true } });
  expect(findContradictions(base)).toHaveLength(1);
  const folder = join(temporaryFolder(), 'model');
  const weights = new WeightFolder(base);
  const tensors = weights.names.map((name) => ({
    name,
    dtype: 'F32' as const,
    shape: weights.info(name)!.shape,
    data: weights.read(name),
  }));
  writeModelFolder(folder, { base, tensors, dtype: null, card: null });
  weights.close();
  expect(findContradictions(folder)).toEqual([]);
  expect(JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'))).toMatchObject({
    tie_word_embeddings: false,
  });
});

it('a whole model leaves without the paths that its base was saved with', () => {
  const base = join(temporaryFolder(), 'base');
  cpSync(join(fixtures, 'tiny-llama'), base, { recursive: true });
  for (const name of ['config.json', 'tokenizer_config.json']) {
    const path = join(base, name);
    const json = JSON.parse(readFileSync(path, 'utf8')) as object;
    writeFileSync(
      path,
      JSON.stringify({ ...json, _name_or_path: base, name_or_path: 'org/name', tokenizer_file: base }),
    );
  }
  const checkpoint = temporaryFolder();
  const weights = new WeightFolder(base);
  const tensors = weights.names.map((name) => ({
    name,
    dtype: 'F32' as const,
    shape: weights.info(name)!.shape,
    data: weights.read(name),
  }));
  writeModelFolder(join(checkpoint, 'model'), { base, tensors, dtype: 'F32', card: null });
  weights.close();
  const outFolder = join(temporaryFolder(), 'out');
  const adapter = adapterConfigSchema.parse({ method: 'full', rank: 1, alpha: 1 });
  const { files } = exportModel({
    kind: 'export',
    format: 'merged',
    modelFolder: base,
    baseName: 'org/name',
    checkpoint,
    adapter,
    loadIn8bit: false,
    outFolder,
  });
  expect(files).toContain('README.md');
  for (const [name, text] of texts(outFolder)) expect(text, name).not.toContain(base);
  expect(JSON.parse(readFileSync(join(outFolder, 'tokenizer_config.json'), 'utf8'))).toMatchObject({
    name_or_path: 'org/name',
  });
});
