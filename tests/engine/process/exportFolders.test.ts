import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { adapterConfigSchema, type AdapterConfig } from '../../../src-main/contract/training.ts';
import { exportAdapter, exportFolder } from '../../../src-main/engine/process/exportFolders.ts';
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
import { openModel } from '../../../src-main/engine/inference/openModel.ts';
import { checkStoredRows } from '../../../src-main/engine/adapters/storedRows.ts';
import { adapterFolderOf, logitsOf, parityCase } from '../../support/parity/parityCase.ts';
import { maxDifference } from '../../support/parity/recordedValues.ts';
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
    quantization: 'none',
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

describe('an adapter of ID-LoRA with the rows that its indices name', () => {
  const exported = () => {
    const request = { ...requestOf('tiny-llama-idlora'), embedPivots: true };
    exportAdapter(request);
    return request.outFolder;
  };
  /** Changes adapter_config.json. */
  const edit = (folder: string, change: (config: Record<string, unknown>) => object) => {
    const path = join(folder, 'adapter_config.json');
    const config = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    writeFileSync(path, JSON.stringify(change(config)));
  };
  const check = (folder: string) => {
    const adapter = openAdapterFolder(folder);
    const weights = new WeightFolder(join(fixtures, 'tiny-llama'));
    try {
      return checkStoredRows(adapter, weights);
    } finally {
      adapter.tensors.close();
      weights.close();
    }
  };
  const model = join(fixtures, 'tiny-llama');
  /** Opens it as every job does. */
  const open = (adapterFolder: string) => {
    const context = { fusion: false, emit: () => undefined };
    openModel({ folder: model, precision: 'f32', adapterFolder }, context).close();
  };

  it('has them as the base has them, and says so', async () => {
    const folder = exported();
    expect(check(folder)).toBe(true);
    expect(JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8'))).toMatchObject({
      embed_pivots: true,
    });
    const request = requestOf('tiny-llama-idlora');
    exportAdapter(request);
    expect(check(request.outFolder)).toBe(false);
    // On a base of the same rows in other bytes it computes the same; without its rows it is refused there.
    for (const each of [folder, request.outFolder])
      edit(each, (config) => ({ ...config, base_sha256: 'ab'.repeat(32) }));
    open(folder);
    expect(() => open(request.outFolder)).toThrow('pivots refer to base weights abababababab…');
    const ids = [1, 20, 33, 47];
    const indexed = await logitsOf(model, ids, request.outFolder);
    expect(maxDifference(await logitsOf(model, ids, folder), indexed)).toBe(0);
  });

  it('is refused where a stored row is not the base’s, even of the base by its hash', () => {
    const folder = exported();
    const path = join(folder, 'adapter_model.safetensors');
    const file = new SafetensorsFile(path, 'internal');
    const tensors = [...file.tensors.values()].map(({ name, dtype, shape }) => {
      const data = Uint8Array.from(file.read(name));
      if (name.endsWith('layers.1.self_attn.v_proj.idlora_A.weight')) data[3]! ^= 0x80;
      return { name, dtype, shape, data };
    });
    file.close();
    writeSafetensors(path, tensors);
    expect(() => open(folder)).toThrow(
      'rows of model.layers.1.self_attn.v_proj (idlora_A) that are not those',
    );
  });

  it('leaves them out again where they are not asked for', () => {
    const request = requestOf('tiny-llama-idlora');
    cpSync(exported(), join(request.checkpoint, 'adapter'), { recursive: true });
    exportAdapter(request);
    const again = openAdapterFolder(request.outFolder);
    expect([...again.keys.keys()].filter((name) => name.includes('idlora_A'))).toEqual([]);
    again.tensors.close();
  });
});

describe('a merged model', () => {
  const ids = [1, 20, 33, 47, 5, 90];
  const merged = (changes: Partial<ExportRequest>) => {
    const request = { ...requestOf('tiny-llama-lora'), format: 'merged' as const, ...changes };
    return { request, result: exportFolder(request) };
  };
  const dtypesIn = (folder: string) => {
    const weights = new WeightFolder(folder);
    const found = new Set(weights.names.map((name) => weights.info(name)!.dtype));
    weights.close();
    return [...found];
  };

  it.each([
    ['F32', 1e-3, 'float32'],
    ['F16', 0.02, 'float16'],
    ['BF16', 0.2, 'bfloat16'],
  ] as const)('in %s computes what the adapter computes', async (dtype, bound, named) => {
    const base = patchedFolder('tiny-llama', { 'config.json': { dtype: 'float32' } });
    const { request, result } = merged({ dtype, modelFolder: base });
    expect(result).toMatchObject({ dtype, merged: { isEqual: true, rows: 32 } });
    expect(dtypesIn(request.outFolder)).toEqual([dtype]);
    const config = JSON.parse(readFileSync(join(request.outFolder, 'config.json'), 'utf8')) as object;
    expect(config).toMatchObject({ dtype: named });
    const live = await logitsOf(base, ids, join(request.checkpoint, 'adapter'));
    expect(maxDifference(await logitsOf(request.outFolder, ids, null), live)).toBeLessThan(bound);
    expect(result.files).toEqual(expect.arrayContaining(['tokenizer.json', 'model.safetensors']));
  });

  it('lies in several files where one would be too large', async () => {
    const { request, result } = merged({ shardBytes: 40_000 });
    expect(result.files).toContain('model.safetensors.index.json');
    expect(result.files.filter((name) => name.endsWith('.safetensors')).length).toBeGreaterThan(2);
    const live = await logitsOf(request.modelFolder, ids, join(request.checkpoint, 'adapter'));
    expect(maxDifference(await logitsOf(request.outFolder, ids, null), live)).toBeLessThan(1e-4);
  });

  it('is refused in F16 where a weight is beyond its range, and nothing is left', () => {
    const base = join(temporaryFolder(), 'base');
    cpSync(join(fixtures, 'tiny-llama'), base, { recursive: true });
    const file = new SafetensorsFile(join(base, 'model.safetensors'), 'internal');
    const tensors = [...file.tensors.values()].map(({ name, dtype, shape }) => {
      const data = Uint8Array.from(file.read(name));
      if (name === 'model.norm.weight') new Float32Array(data.buffer)[1] = 1e6;
      return { name, dtype, shape, data };
    });
    file.close();
    writeSafetensors(join(base, 'model.safetensors'), tensors);
    const outFolder = join(temporaryFolder(), 'out');
    expect(() => merged({ dtype: 'F16', modelFolder: base, outFolder })).toThrow(
      'model.norm.weight has the value 1000000, and F16 holds numbers up to 65504.',
    );
    expect(existsSync(outFolder)).toBe(false);
  });
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
  const { files } = exportFolder({
    kind: 'export',
    format: 'merged',
    modelFolder: base,
    baseName: 'org/name',
    checkpoint,
    adapter,
    quantization: 'none',
    outFolder,
  });
  expect(files).toContain('README.md');
  for (const [name, text] of texts(outFolder)) expect(text, name).not.toContain(base);
  expect(JSON.parse(readFileSync(join(outFolder, 'tokenizer_config.json'), 'utf8'))).toMatchObject({
    name_or_path: 'org/name',
  });
});
