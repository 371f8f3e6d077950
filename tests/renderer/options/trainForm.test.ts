import { describe, expect, it } from 'vitest';
import { configYaml, readConfigYaml } from '../../../src-main/options/trainingYaml.ts';
import { trainConfigSchema, type TrainConfig } from '../../../src-main/contract/training.ts';
import { optionNames } from '../../../src-main/options/trainingOptions.ts';
import { placeDocument } from '../../../src-renderer/features/train/form/formDocument.ts';
import {
  advancedOptions,
  simpleAdapterOptions,
  simpleRunOptions,
} from '../../../src-renderer/options/fieldGroups.ts';
import { fieldTexts, fileKey, valueText } from '../../../src-renderer/options/fields.ts';
import {
  configInput,
  copyForm,
  defaultForm,
  readForm,
  restoreForm,
  shownOptions,
  takeAdapter,
  takeConfig,
  type TrainForm,
} from '../../../src-renderer/options/trainForm.ts';
import { variedConfigs } from '../../support/trainConfigs.ts';
import { library } from './samples.ts';

function formOf(config: TrainConfig): TrainForm {
  const form = copyForm(defaultForm);
  takeConfig(form, config);
  return form;
}

function configOf(form: TrainForm): TrainConfig {
  const { options, problems } = readForm(form);
  expect(problems).toEqual({});
  return trainConfigSchema.parse(configInput(options));
}

describe('the form', () => {
  it('shows every option of the contract in one place', () => {
    const placed = ['method', 'targets', ...simpleAdapterOptions, ...simpleRunOptions, ...advancedOptions];
    expect(placed.sort()).toEqual([...optionNames].sort());
    for (const name of optionNames) {
      expect(fieldTexts[name].label, name).not.toBe('');
      expect(fileKey(name)).toMatch(/^(PEFT|transformers|In files): \w+(, \w+)*$/);
    }
  });

  it('that an earlier version stored says in one choice how the base is kept', () => {
    const { baseWeights: _, ...saved } = copyForm(defaultForm);
    const kept = (switches: object) => restoreForm({ ...saved, ...switches }).baseWeights;
    expect(kept({ loadIn8bit: false, loadIn4bit: true })).toBe('nf4');
    expect(kept({ loadIn8bit: true, loadIn4bit: false })).toBe('int8');
    expect(kept({ loadIn8bit: false, loadIn4bit: false })).toBe('none');
    expect(kept({})).toBe('none');
  });

  it('that trains an adapter on keeps the base as it was, and nothing else of the run', () => {
    const form = copyForm(defaultForm);
    const adapter = { method: 'lora', rank: 6, alpha: 12 } as const;
    takeAdapter(form, trainConfigSchema.parse({ adapter, loadIn4bit: true, batch: 9, precision: 'bf16' }));
    const { baseWeights, rank, batch, precision } = form;
    expect({ baseWeights, rank, batch, precision }).toEqual({
      baseWeights: 'nf4',
      rank: 6,
      batch: defaultForm.batch,
      precision: defaultForm.precision,
    });
    takeAdapter(form, trainConfigSchema.parse({ adapter }));
    expect(form.baseWeights).toBe('none');
  });

  it.each(variedConfigs())('has a configuration as it was: $label', ({ config }) => {
    expect(configOf(formOf(config))).toEqual(config);
  });

  it.each(variedConfigs())('comes back from its own YAML: $label', ({ config }) => {
    const form = formOf(config);
    const names = { run: 'a run', model: 'Llama-3-8B', dataset: 'sums' };
    const other = copyForm(defaultForm);
    const placement = placeDocument(other, readConfigYaml(configYaml(configOf(form), names)), library);
    expect(placement).toMatchObject({ ignored: [], unknown: [] });
    expect(configOf(other)).toEqual(config);
    expect(other).toMatchObject({ name: 'a run', modelId: 'm1', datasetId: 'd1' });
  });

  it('survives a reload, and what an older or damaged page left behind', () => {
    const form = formOf(variedConfigs().find(({ label }) => label.startsWith('idlora, samples'))!.config);
    form.targets = [];
    expect(restoreForm(JSON.parse(JSON.stringify(form)) as Partial<TrainForm>)).toEqual(form);
    expect(restoreForm({})).toEqual(defaultForm);
    const damaged = {
      method: 'vera',
      rank: 'eight',
      targets: ['lm_head'],
      samples: { prompts: [3] },
      layers: 3,
      packing: 'yes',
      schedule: null,
      modelId: 4,
      epochs: null,
    };
    expect(restoreForm(damaged)).toEqual({ ...defaultForm, epochs: null });
  });

  it('shows only what matters beside method, optimizer and schedule', () => {
    const shown = (changes: Partial<TrainForm>) => shownOptions({ ...copyForm(defaultForm), ...changes });
    expect(shown({ method: 'idlora' })).toEqual(
      expect.arrayContaining(['clusters', 'routerSoftmax', 'beta1']),
    );
    expect(shown({ method: 'idlora', router: 'pivot' })).not.toContain('routerSoftmax');
    expect(shown({ method: 'lora' })).not.toContain('clusters');
    expect(shown({ method: 'full' })).not.toContain('rank');
    expect(shown({ method: 'moelora' })).not.toContain('tasks');
    expect(shown({ method: 'moelora', gate: 'task' })).toContain('tasks');
    expect(shown({ optimizer: 'sgd' })).not.toContain('beta1');
    expect(shown({ optimizer: 'sgd' })).toContain('momentum');
    expect(shown({ schedule: 'polynomial' })).toEqual(
      expect.arrayContaining(['polynomialPower', 'minLearningRateRatio']),
    );
    expect(shown({ length: 'epochs' })).toContain('epochs');
    expect(shown({ length: 'epochs' })).not.toContain('maxSteps');
    expect(shown({ heldOutFraction: 0 })).not.toContain('evalEvery');
  });
});

it('names models and datasets of an imported file that the library lacks, and leaves the form’s', () => {
  const form = { ...copyForm(defaultForm), modelId: 'm2' };
  const read = readConfigYaml('model_name_or_path: org/other\ndataset_name: sums\nr: 4\nfp16: true\n');
  expect(placeDocument(form, read, library)).toEqual({
    taken: 1,
    ignored: ['fp16'],
    unknown: ['model “org/other”'],
  });
  expect(form).toMatchObject({ modelId: 'm2', datasetId: 'd1', rank: 4 });
});

it.each([
  ['rank', 8, '8'],
  ['heldOutFraction', 0.07, '7 %'],
  ['clipNorm', null, 'none'],
  ['earlyStoppingPatience', null, 'never'],
  ['packing', true, 'on'],
  ['schedule', 'polynomial', 'polynomial'],
  ['optimizer', 'adamw8bit', 'AdamW, 8-bit states'],
  ['rankPattern', '', 'none'],
  ['rankPattern', 'q=1\nk=2', 'q=1, k=2'],
  ['layers', '', 'all'],
  ['targets', ['q_proj', 'v_proj'], 'q_proj, v_proj'],
  ['samples', { prompts: ['a'] }, '1 prompt'],
] as const)('says %s %j as %s', (name, value, text) => {
  expect(valueText(name, value)).toBe(text);
});
