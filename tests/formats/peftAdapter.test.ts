import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { adapterConfigSchema } from '../../src-main/contract/training.ts';
import { openAdapterFolder, writeAdapterFolder } from '../../src-main/formats/peftAdapter.ts';
import { temporaryFolder } from '../support/trainingRun.ts';

const base = { name: 'base', sha256: 'ab' };
const tensor = (suffix: string) =>
  ({
    modulePath: 'model.layers.0.self_attn.q_proj',
    suffix,
    dtype: 'F32',
    shape: [1],
    data: new Uint8Array(4),
  }) as const;

it.each([
  { method: 'lora', rank: 4, alpha: 8, targets: ['q_proj', 'v_proj'] },
  { method: 'dora', rank: 4, alpha: 8 },
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

it('replaces an adapter folder as a whole and leaves nothing beside it', () => {
  const parent = temporaryFolder();
  const adapter = adapterConfigSchema.parse({ method: 'lora', rank: 4, alpha: 8 });
  for (const suffix of ['a.weight', 'b.weight'])
    writeAdapterFolder(join(parent, 'adapter'), adapter, base, [tensor(suffix)]);
  expect(readdirSync(parent)).toEqual(['adapter']);
});

describe('refuses by name', () => {
  const config = { peft_type: 'LORA', r: 4, lora_alpha: 8, target_modules: ['q_proj'], bias: 'none' };
  it.each<[object, string, RegExp]>([
    [{ ...config, peft_type: 'VERA' }, 'model_unsupported', /peft_type "VERA"/],
    [{ ...config, bias: 'all' }, 'model_unsupported', /bias "all"/],
    [{ ...config, use_rslora: true }, 'model_unsupported', /use_rslora/],
    [{ ...config, modules_to_save: ['lm_head'] }, 'model_unsupported', /modules_to_save lm_head/],
    [{ ...config, rank_pattern: { x: 2 } }, 'model_unsupported', /rank_pattern/],
    [{ ...config, target_modules: ['lm_head'] }, 'model_unsupported', /target modules lm_head/],
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
  it('a folder that is no adapter', () => {
    expect(() => openAdapterFolder(temporaryFolder())).toThrow(
      /is no adapter: it has no adapter_config.json/,
    );
  });
});
