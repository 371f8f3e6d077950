import { describe, expect, it } from 'vitest';
import { methods } from '../../../../src-main/contract/training.ts';
import { checkForm } from '../../../../src-renderer/options/formCheck.ts';
import {
  differences,
  findPreset,
  presetForm,
  presets,
  restorePresets,
  revert,
  savedValues,
} from '../../../../src-renderer/features/train/form/presets.ts';
import { copyForm, defaultForm, type TrainForm } from '../../../../src-renderer/options/trainForm.ts';
import { fused, library, llama3 } from '../../options/samples.ts';

const start: TrainForm = { ...copyForm(defaultForm), modelId: 'm1', datasetId: 'd1', name: 'mine' };

describe.each(presets)('the preset $name', (preset) => {
  it.each(methods)('is possible with %s, and nothing differs from it once it is used', (method) => {
    const form = presetForm(preset, { ...start, method }, llama3);
    const { config, problems } = checkForm(form, library);
    expect(problems).toEqual({});
    expect(config).not.toBeNull();
    expect(form).toMatchObject({ modelId: 'm1', datasetId: 'd1', name: 'mine' });
    expect(differences(form, presetForm(preset, form, llama3), llama3)).toEqual([]);
  });

  it('says where its values come from', () => {
    expect(preset.source.length).toBeGreaterThan(30);
  });
});

describe("the paper's presets", () => {
  const gsm8k = findPreset('paper-gsm8k', []);
  const used = (method: TrainForm['method'], model = llama3) =>
    checkForm(presetForm(gsm8k, { ...start, method }, model), library);

  it('have the parameters that the paper prints', () => {
    const share = (method: TrainForm['method']) => used(method).count!.percentPaper.toFixed(2);
    expect(share('idlora')).toBe('0.56');
    expect(share('lora')).toBe('1.03');
    expect(share('dora')).toBe('1.05');
    expect(share('hydralora')).toBe('1.10');
    expect(share('moelora')).toBe('1.09');
  });

  it('have its batch, epochs, dropout, alpha, and the rate of the model', () => {
    const { config } = used('idlora');
    expect(config).toMatchObject({
      epochs: 3,
      learningRate: 5e-5,
      warmupSteps: 0,
      optimizer: 'adamw',
      adapter: {
        rank: 128,
        alpha: 256,
        dropout: 0.05,
        clusters: 4,
        boost: 2,
        pivots: 'pmrc',
        router: 'input',
      },
    });
    expect(config!.batch * config!.accumulate).toBe(32);
    const mistral = { ...llama3, name: 'Mistral-7B', family: 'mistral' };
    expect(presetForm(gsm8k, start, mistral).learningRate).toBe(3e-5);
  });
});

describe('differences from a preset', () => {
  const base = presetForm(presets[0]!, start, llama3);

  it('are of what is shown only, and can be reverted one by one', () => {
    const form = { ...copyForm(base), rank: 16, heads: 7, momentum: 0.5, packing: true };
    expect(differences(form, base, llama3)).toEqual([
      { field: 'rank', old: 8, new: 16 },
      { field: 'packing', old: false, new: true },
    ]);
    revert(form, base, 'rank');
    expect(differences(form, base, llama3)).toEqual([{ field: 'packing', old: false, new: true }]);
  });

  it('have the length as one, whichever way it is counted', () => {
    const form: TrainForm = { ...copyForm(base), length: 'epochs', epochs: 3 };
    expect(differences(form, base, llama3)).toEqual([{ field: 'length', old: '200 steps', new: '3 epochs' }]);
    revert(form, base, 'length');
    expect(differences(form, base, llama3)).toEqual([]);
    form.maxSteps = 30;
    expect(differences(form, base, llama3)).toEqual([{ field: 'maxSteps', old: 200, new: 30 }]);
  });

  it('do not count other names of the same modules', () => {
    const form: TrainForm = {
      ...copyForm(base),
      targets: ['qkv_proj', 'o_proj', 'gate_up_proj', 'down_proj'],
    };
    expect(differences(form, base, fused)).toEqual([]);
    form.targets = ['o_proj'];
    expect(differences(form, base, fused)).toHaveLength(1);
  });
});

it('keeps what a person saves, without what is none', () => {
  const form: TrainForm = { ...copyForm(start), method: 'lora', rank: 3, length: 'epochs' };
  const own = { id: 'own-1', name: 'Mine', values: savedValues(form) };
  const kept = restorePresets(JSON.parse(JSON.stringify({ own: [own, { id: 3 }, null, 'x'] })) as object);
  expect(kept.own).toEqual([own]);
  const preset = findPreset('own-1', kept.own);
  const other = { ...copyForm(defaultForm), modelId: 'm2' };
  expect(presetForm(preset, other, llama3)).toMatchObject({
    method: 'lora',
    rank: 3,
    length: 'epochs',
    modelId: 'm2',
  });
  expect(findPreset('gone', kept.own)).toBe(presets[0]);
  expect(restorePresets({ own: 'x' })).toEqual({ own: [] });
});
