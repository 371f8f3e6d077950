import { describe, expect, it } from 'vitest';
import {
  optionsOver,
  readDocument,
  valuesIn,
  writeDocument,
} from '../../src-main/options/trainingDocument.ts';
import { configText, configYaml, readConfigYaml } from '../../src-main/options/trainingYaml.ts';
import { trainConfigSchema } from '../../src-main/contract/training.ts';
import { nest } from '../../src-main/options/trainingOptions.ts';
import { peftConfigOf } from '../../src-main/formats/adapter/peftConfig.ts';
import { variedConfigs } from '../support/trainConfigs.ts';

describe('a configuration as YAML', () => {
  it.each(variedConfigs())('comes back as it was: $label', ({ config }) => {
    const names = { run: 'a run', model: 'a: model', dataset: '12' };
    const read = readConfigYaml(configYaml(config, names));
    expect(read).toMatchObject({ names, ignored: [], problems: [] });
    const { adapter, ...run } = nest(read.options);
    expect(trainConfigSchema.parse({ adapter: { rank: 1, alpha: 1, ...adapter }, ...run })).toEqual(config);
  });

  it('names options as PEFT and transformers do, and leaves out those of other methods', () => {
    const config = trainConfigSchema.parse({
      adapter: { method: 'idlora', rank: 128, alpha: 256, dropout: 0.05 },
      learningRate: 5e-5,
      schedule: 'polynomial',
      minLearningRateRatio: 0.1,
      precision: 'bf16',
    });
    const document = writeDocument(config);
    expect(document).toMatchObject({
      method: 'idlora',
      r: 128,
      lora_alpha: 256,
      lora_dropout: 0.05,
      num_clusters: 4,
      learning_rate: 5e-5,
      lr_scheduler_type: 'polynomial',
      lr_scheduler_kwargs: { lr_end: 5e-6, power: 1 },
      optim: 'adamw_torch',
      bf16: true,
      max_steps: -1,
    });
    expect(Object.keys(document)).not.toEqual(expect.arrayContaining(['num_heads', 'momentum']));
  });

  it('says how the base is kept in the switches of transformers, and reads one alone', () => {
    const written = (kept: object) =>
      writeDocument(trainConfigSchema.parse({ adapter: { method: 'lora', rank: 8, alpha: 16 }, ...kept }));
    expect(written({})).toMatchObject({ load_in_8bit: false, load_in_4bit: false });
    expect(written({ loadIn8bit: true })).toMatchObject({ load_in_8bit: true, load_in_4bit: false });
    const read = (document: object) => {
      const { options, problems, ignored } = readDocument(document);
      expect(ignored).toEqual([]);
      return problems.length > 0 ? problems : options;
    };
    expect(read({ load_in_4bit: true })).toEqual({ baseWeights: 'nf4' });
    expect(read({ load_in_8bit: true, load_in_4bit: false })).toEqual({ baseWeights: 'int8' });
    expect(read({ load_in_8bit: false, load_in_4bit: false })).toEqual({ baseWeights: 'none' });
    expect(read({ load_in_8bit: null, load_in_4bit: false })).toEqual({});
    expect(read({ r: 4 })).toEqual({ rank: 4 });
    expect(read({ load_in_8bit: true, load_in_4bit: true })).toEqual([
      'The base cannot be kept in 8 bits and in 4 bits at once.',
    ]);
    // One alone says nothing of the other.
    const over = (baseWeights: string, document: object) =>
      optionsOver({ baseWeights, rank: 2 }, readDocument(document));
    expect(over('int8', { load_in_4bit: false })).toEqual({ baseWeights: 'int8', rank: 2 });
    expect(over('nf4', { load_in_4bit: false, r: 4 })).toEqual({ baseWeights: 'none', rank: 4 });
    expect(over('nf4', { load_in_8bit: true })).toEqual({ baseWeights: 'int8', rank: 2 });
    expect(over('nf4', { load_in_8bit: false, load_in_4bit: false })).toMatchObject({ baseWeights: 'none' });
    expect(valuesIn(readDocument({ load_in_4bit: false, r: 4 }))).toBe(2);
    expect(read({ load_in_4bit: 'yes' })).toEqual(['load_in_4bit: "yes" is not possible. true or false.']);
  });

  it('writes numbers that Python reads as numbers', () => {
    const config = trainConfigSchema.parse({
      adapter: { method: 'lora', rank: 8, alpha: 16 },
      epsilon: 1e-8,
    });
    expect(configYaml(config)).toMatch(/^adam_epsilon: 1\.0e-8$/m);
  });
});

describe('reading what others wrote', () => {
  it.each(['lora', 'dora', 'hydralora', 'moelora', 'idlora'] as const)(
    'takes the adapter_config.json of %s, and lists the keys that are not options',
    (method) => {
      const { adapter } = trainConfigSchema.parse({
        adapter: { method, rank: 12, alpha: 24, targets: ['q_proj', 'v_proj'], layers: [0, 2] },
      });
      const file = JSON.stringify(peftConfigOf(adapter, { name: 'base', sha256: 'ab' }));
      const read = readConfigYaml(file);
      expect(read.problems).toEqual([]);
      expect(read.names).toEqual({ model: 'base' });
      expect(read.options).toMatchObject({
        method,
        rank: 12,
        alpha: 24,
        targets: ['q_proj', 'v_proj'],
        layers: [0, 2],
      });
      expect(read.ignored).toEqual(expect.arrayContaining(['task_type', 'bias', 'inference_mode']));
    },
  );

  it('understands the other spellings of PEFT, TRL and transformers', () => {
    const { options, problems } = readDocument({
      peft_type: 'LORA',
      r: 16,
      lora_alpha: 32,
      target_modules: 'all-linear',
      layers_to_transform: 3,
      rank_pattern: null,
      max_grad_norm: 0,
      num_train_epochs: 3,
      max_seq_length: 2048,
      optim: 'adamw_bnb_8bit',
      bf16: false,
      lr_scheduler_type: 'cosine_with_min_lr',
      learning_rate: 2e-4,
      lr_scheduler_kwargs: { min_lr: 2e-5 },
    });
    expect(problems).toEqual([]);
    expect(options).toMatchObject({
      method: 'lora',
      targets: expect.arrayContaining(['down_proj']) as unknown,
      layers: [3],
      rankPattern: {},
      clipNorm: null,
      epochs: 3,
      maxSteps: null,
      context: 2048,
      optimizer: 'adamw8bit',
      precision: 'f32',
      minLearningRateRatio: 0.1,
    });
  });

  it('lists keys that it does not know, but not those that say nothing', () => {
    const { ignored } = readDocument({
      r: 4,
      fp16: true,
      deepspeed: null,
      modules_to_save: [],
      bias: 'none',
    });
    expect(ignored).toEqual(['fp16', 'bias']);
  });

  it('names key, value and limit of everything that is out of range', () => {
    const { options, problems } = readDocument({
      r: 0,
      lora_dropout: 1,
      target_modules: ['q_proj', 'lm_head'],
      learning_rate: 'much',
      peft_type: 'VERA',
      seed: 3,
    });
    expect(options).toEqual({ seed: 3 });
    expect(problems).toEqual([
      expect.stringMatching(/^peft_type: "VERA" .*IDLORA/),
      'r: 0 is not possible. At least 1.',
      'lora_dropout: 1 is not possible. Below 1.',
      expect.stringMatching(/^target_modules\.1: "lm_head" .*q_proj/),
      'learning_rate: "much" is not possible. A number.',
    ]);
  });

  it.each(['just words', '[1, 2]', '3', ''])('refuses a document that is no mapping: %j', (text) => {
    expect(readConfigYaml(text).problems).toHaveLength(1);
  });

  it('says where the text is no YAML', () => {
    expect(() => readConfigYaml('r: 16\nlora_alpha: [1')).toThrow(
      expect.objectContaining({
        code: 'config_invalid',
        message: expect.stringMatching(/line \d/) as string,
      }),
    );
  });
});

it('a file is read as UTF-8 or as its byte order mark says, and refused with the place otherwise', () => {
  const yaml = 'lora_alpha: 16 # Größe';
  for (const bytes of [Buffer.from(`\ufeff${yaml}`), Buffer.from(`\ufeff${yaml}`, 'utf16le')])
    expect(readConfigYaml(configText(bytes)).options).toEqual({ alpha: 16 });
  expect(() => configText(Buffer.from(yaml, 'latin1'))).toThrow(
    expect.objectContaining({
      code: 'config_invalid',
      message: 'The file is not UTF-8: byte 0xF6 at position 19 (line 1); it is probably windows-1252.',
    }) as Error,
  );
});
