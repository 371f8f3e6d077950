import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { adapterConfigSchema } from '../../../src-main/contract/training.ts';
import { openAdapterFolder, writeAdapterFolder } from '../../../src-main/formats/adapter/peftAdapter.ts';
import { peftConfigOf } from '../../../src-main/formats/adapter/peftConfig.ts';
import { writeSafetensors } from '../../../src-main/formats/files/safetensors.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const base = { name: 'base', sha256: 'ab', quantization: 'none' as const };
const tensor = (suffix: string) =>
  ({
    name: `model.layers.0.self_attn.q_proj.${suffix}`,
    dtype: 'F32',
    shape: [1],
    data: new Uint8Array(4),
  }) as const;

it.each([
  { method: 'lora', rank: 4, alpha: 8, targets: ['q_proj', 'v_proj'] },
  {
    method: 'lora',
    rank: 4,
    alpha: 8,
    rankStabilized: true,
    rankPattern: { q_proj: 8 },
    alphaPattern: { 'layers.[01].mlp.up_proj': 3.5 },
    layers: [0, 3],
  },
  { method: 'dora', rank: 4, alpha: 8 },
  { method: 'moelora', rank: 8, alpha: 2, experts: 4, gate: 'task', tasks: 7, rankStabilized: true },
  { method: 'hydralora', rank: 2, alpha: 2, heads: 5 },
  { method: 'moelora', rank: 2, alpha: 2, experts: 6 },
  {
    method: 'idlora',
    rank: 4,
    alpha: 8,
    dropout: 0.05,
    clusters: 3,
    boost: 4,
    router: 'pivot',
    routerSoftmax: false,
    pivots: 'serial',
  },
])('configuration of $method survives writing and reading', (given) => {
  const adapter = adapterConfigSchema.parse(given);
  const folder = join(temporaryFolder(), 'adapter');
  writeAdapterFolder(folder, adapter, base, [tensor('x.weight')]);
  const read = openAdapterFolder(folder);
  expect(read.config).toEqual(adapter);
  expect([...read.tensors.tensors.keys()]).toEqual([
    'base_model.model.model.layers.0.self_attn.q_proj.x.weight',
  ]);
  expect(read.baseSha256).toBe(given.method === 'idlora' ? 'ab' : null);
  read.tensors.close();
});

it('says of a router by pivots that it has no softmax, whatever the option was', () => {
  const given = (router: 'pivot' | 'input') =>
    peftConfigOf(adapterConfigSchema.parse({ method: 'idlora', rank: 4, alpha: 8, router }), base);
  expect(given('pivot')).toMatchObject({ router: 'pivot', router_softmax: false });
  expect(given('input')).toMatchObject({ router: 'input', router_softmax: true });
});

it('replaces an adapter folder as a whole and leaves nothing beside it', () => {
  const parent = temporaryFolder();
  const adapter = adapterConfigSchema.parse({ method: 'lora', rank: 4, alpha: 8 });
  for (const suffix of ['a.weight', 'b.weight'])
    writeAdapterFolder(join(parent, 'adapter'), adapter, base, [tensor(suffix)]);
  expect(readdirSync(parent)).toEqual(['adapter']);
});

it("reads PEFT's spellings: one layer or a list, patterns, use_rslora, keys of defaults", () => {
  const file = {
    peft_type: 'LORA',
    r: 4,
    lora_alpha: 8,
    target_modules: ['v_proj', 'q_proj'],
    bias: 'none',
    use_rslora: true,
    rank_pattern: { '^model.layers.0.self_attn.q_proj': 2, 'layers\\.\\d+\\.self_attn\\.v_proj': 8 },
    alpha_pattern: { q_proj: 3 },
    exclude_modules: null,
    layer_replication: null,
    lora_bias: false,
    init_lora_weights: true,
    loftq_config: {},
  };
  const read = (more: object) => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify({ ...file, ...more }));
    writeSafetensors(join(folder, 'adapter_model.safetensors'), []);
    const adapter = openAdapterFolder(folder);
    adapter.tensors.close();
    return adapter.config;
  };
  expect(read({})).toEqual(
    adapterConfigSchema.parse({
      method: 'lora',
      rank: 4,
      alpha: 8,
      targets: ['q_proj', 'v_proj'],
      rankStabilized: true,
      rankPattern: file.rank_pattern,
      alphaPattern: file.alpha_pattern,
    }),
  );
  expect(read({ layers_to_transform: 3, layers_pattern: ['layers'] }).layers).toEqual([3]);
  expect(read({ layers_to_transform: [4, 1, 4], layers_pattern: null }).layers).toEqual([1, 4]);
  expect(read({ layers_to_transform: [], layers_pattern: 'layers' }).layers).toBeNull();
  expect(read({ use_dora: true }).method).toBe('dora');
  // It starts B at singular vectors of the base, and leaves the base as it is.
  expect(read({ init_lora_weights: 'mica' }).method).toBe('lora');
});

it('a folder without tensors is named', () => {
  const folder = temporaryFolder();
  const config = { peft_type: 'LORA', r: 4, lora_alpha: 8, target_modules: ['q_proj'] };
  writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify(config));
  expect(() => openAdapterFolder(folder)).toThrow(/has no adapter_model.safetensors/);
});

describe('refuses by name', () => {
  const config = { peft_type: 'LORA', r: 4, lora_alpha: 8, target_modules: ['q_proj'], bias: 'none' };
  it.each<[object, string, RegExp]>([
    [{ ...config, peft_type: 'VERA' }, 'model_unsupported', /peft_type "VERA"/],
    [{ ...config, bias: 'all' }, 'model_unsupported', /bias "all"/],
    [
      { ...config, rank_pattern: { '(a+)+b': 2 } },
      'model_unsupported',
      /rank_pattern: .*"\(a\+\)\+b" uses a repetition/,
    ],
    [{ ...config, alpha_pattern: { '(?<=q)': 2 } }, 'model_unsupported', /alpha_pattern: .*the group \(\?</],
    [{ ...config, rank_pattern: { q_proj: 'a' } }, 'adapter_invalid', /rank_pattern\.q_proj: /],
    [{ ...config, rank_pattern: { q_proj: 0 } }, 'adapter_invalid', /rank_pattern\.q_proj: /],
    [{ ...config, layers_to_transform: [0, -1] }, 'adapter_invalid', /layers_to_transform\.0: /],
    [{ ...config, layers_to_transform: [1], layers_pattern: 'h' }, 'model_unsupported', /layers_pattern h/],
    [{ ...config, lora_bias: true }, 'model_unsupported', /lora_bias true/],
    [{ ...config, init_lora_weights: 'pissa' }, 'model_unsupported', /init_lora_weights "pissa"/],
    [{ ...config, target_modules: '(?<=a).*' }, 'model_unsupported', /target_modules: .*the group \(\?</],
    [
      { ...config, target_modules: '.*', layers_to_transform: [0] },
      'adapter_invalid',
      /layers_to_transform beside an expression/,
    ],
    [{ ...config, use_new: { a: 1 } }, 'model_unsupported', /use_new \{"a":1\}, an option of a newer/],
    [{ ...config, peft_type: 'PREFIX_TUNING' }, 'model_unsupported', /peft_type "PREFIX_TUNING"/],
    [{ ...config, peft_type: 'MOELORA', gate: 'row' }, 'adapter_invalid', /: gate: /],
    [{ ...config, peft_type: 'MOELORA', num_tasks: 0 }, 'adapter_invalid', /: num_tasks: /],
    [{ ...config, target_modules: ['lm_head'] }, 'adapter_invalid', /no tensors for a module .*lm_head/],
    [{ ...config, r: -1 }, 'adapter_invalid', /r: /],
  ])('%j', (content, code, message) => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify(content));
    let thrown: unknown;
    try {
      openAdapterFolder(folder);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code, message: expect.stringMatching(message) as string });
  });
  it.each([
    ['pissa_niter_4', /save_pretrained\(FOLDER, path_initial_model_for_weight_conversion=INITIAL\)/],
    ['OLoRA', /path_initial_model_for_weight_conversion/],
    ['lora_ga', /path_initial_model_for_weight_conversion/],
    ['loftq', /^Merge the adapter with PEFT and import the merged model/],
  ])('a start that changes the base, with what to do: %s', (start, remedy) => {
    const folder = temporaryFolder();
    const content = { ...config, init_lora_weights: start };
    writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify(content));
    const said = { remedy: expect.stringMatching(remedy) as string };
    const named = expect.stringContaining(`init_lora_weights "${start}"`) as string;
    expect(() => openAdapterFolder(folder)).toThrow(expect.objectContaining({ ...said, message: named }));
  });
  it('a folder that is no adapter', () => {
    expect(() => openAdapterFolder(temporaryFolder())).toThrow(
      /is no adapter: it has no adapter_config.json/,
    );
  });
});
