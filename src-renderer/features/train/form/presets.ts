import type { Model } from '../../../../src-main/contract/entities.ts';
import type { Method } from '../../../../src-main/contract/training.ts';
import { optionNames, type OptionName } from '../../../../src-main/options/trainingOptions.ts';
import {
  copyForm,
  defaultForm,
  isShown,
  restoreForm,
  type FormOptions,
  type TrainForm,
} from '../../../options/trainForm.ts';
import { starterValues } from '../../../options/fillTrainForm.ts';
import { shownTargets } from '../../../options/targets.ts';

/** The part of the form that a preset decides. */
export type PresetValues = Partial<FormOptions & Pick<TrainForm, 'length'>>;

export interface Preset {
  id: string;
  name: string;
  /** Where its values come from, in words. */
  source: string;
  /** What differs from the studio's first values, for a method and a model. */
  values(method: Method, model: Model | undefined): PresetValues;
}

/** What a person has saved. */
export interface OwnPreset {
  id: string;
  name: string;
  values: PresetValues;
}

/**
 * Ranks of the paper's tables. ID-LoRA's stands in Tables 4 and 5; the others follow from the shares that Tables 1 and
 * 2 print (LoRA 1.03 % of Llama-3-8B is rank 32), and HydraLoRA's and LoRA's are named in section 5.3.
 */
const paperRanks: Readonly<Partial<Record<Method, number>>> = {
  lora: 32,
  dora: 32,
  hydralora: 16,
  moelora: 8,
  idlora: 128,
};

function paperValues(method: Method, rest: PresetValues): PresetValues {
  const rank = paperRanks[method];
  return {
    ...(rank !== undefined && { rank, alpha: 2 * rank, dropout: 0.05 }),
    batch: 4,
    accumulate: 8,
    warmupSteps: 0,
    schedule: 'linear',
    context: 512,
    precision: 'bf16',
    length: 'epochs',
    heldOutFraction: 0,
    ...rest,
  };
}

const paperNote =
  'Batch 32 as 4 rows in 8 passes; the paper names no schedule and no length: linear and 512 tokens are ours.';

const isMistral = (model: Model | undefined) =>
  model !== undefined && (model.family === 'mistral' || /mistral/i.test(model.name));

export const presets: readonly Preset[] = [
  {
    id: 'first',
    name: 'First run',
    source: 'The studio’s own: 200 steps, long enough to see the loss fall and short enough to wait for.',
    values: () => ({}),
  },
  {
    id: 'starter',
    name: 'Starter project',
    source: 'The studio’s own, for its starter model: 120 steps in which it learns Python functions.',
    values: () => ({ ...starterValues }),
  },
  {
    id: 'quick',
    name: 'Quick look',
    source: 'The studio’s own: 30 short steps that show whether model, data and memory go together.',
    values: () => ({
      maxSteps: 30,
      batch: 2,
      context: 128,
      evalEvery: 10,
      heldOutRows: 16,
      checkpointEvery: 0,
    }),
  },
  {
    id: 'practice',
    name: 'LoRA, good practice',
    source:
      'Widely used for instruction tuning: all linear modules as in QLoRA (Dettmers et al. 2023), rank 16 with alpha 32, rate 2e-4 falling as a cosine.',
    values: () => ({
      method: 'lora',
      rank: 16,
      alpha: 32,
      dropout: 0.05,
      learningRate: 2e-4,
      schedule: 'cosine',
      warmupSteps: 10,
      batch: 4,
      accumulate: 4,
      context: 1024,
      length: 'epochs',
      epochs: 2,
      keepBest: true,
    }),
  },
  {
    id: 'loraplus',
    name: 'LoRA+, faster start',
    source: 'LoRA+ (Hayou et al. 2024): B matrices learn at 16 times the rate, which the authors advise.',
    values: () => ({
      method: 'lora',
      rank: 16,
      alpha: 32,
      dropout: 0.05,
      learningRate: 5e-5,
      schedule: 'cosine',
      loraPlusRatio: 16,
      warmupSteps: 10,
      batch: 4,
      accumulate: 4,
      context: 1024,
      length: 'epochs',
      epochs: 2,
    }),
  },
  {
    id: 'memory',
    name: 'Little memory',
    source:
      'Good practice where memory is short: one row at a time, bf16, Adam’s states in 8 bits, activations computed again.',
    values: () => ({
      batch: 1,
      accumulate: 16,
      precision: 'bf16',
      optimizer: 'adamw8bit',
      gradientCheckpointing: true,
      learningRate: 2e-4,
      schedule: 'cosine',
      context: 512,
    }),
  },
  {
    id: 'paper-gsm8k',
    name: 'Paper: GSM8K',
    source: `Table 4 of the ID-LoRA paper: 3 epochs at 5e-5 (3e-5 for Mistral). ${paperNote}`,
    values: (method, model) =>
      paperValues(method, { epochs: 3, learningRate: isMistral(model) ? 3e-5 : 5e-5 }),
  },
  {
    id: 'paper-codealpaca',
    name: 'Paper: CodeAlpaca',
    source: `Table 4 of the ID-LoRA paper: 2 epochs at 5e-5. ${paperNote}`,
    values: (method) => paperValues(method, { epochs: 2, learningRate: 5e-5 }),
  },
  {
    id: 'paper-saferpaca',
    name: 'Paper: Saferpaca',
    source: `Table 4 of the ID-LoRA paper: 2 epochs at 1e-4. ${paperNote}`,
    values: (method) => paperValues(method, { epochs: 2, learningRate: 1e-4 }),
  },
  {
    id: 'paper-multitask',
    name: 'Paper: multi-task',
    source: `Table 5 of the ID-LoRA paper, for Alpaca with GSM8K and half of CodeAlpaca: 2 epochs at 5e-5. ${paperNote}`,
    values: (method) => paperValues(method, { epochs: 2, learningRate: 5e-5 }),
  },
];

/** A saved preset beside the others. */
function ownPreset({ id, name, values }: OwnPreset): Preset {
  return { id, name, source: 'Saved here by you.', values: () => values };
}

/** A preset by id; the first one where it is gone. */
export function findPreset(id: string, own: readonly OwnPreset[]): Preset {
  return [...presets, ...own.map(ownPreset)].find((preset) => preset.id === id) ?? presets[0]!;
}

/** The form as a preset would have it: model, data, name and, where the preset names none, the method stay. */
export function presetForm(preset: Preset, form: Readonly<TrainForm>, model: Model | undefined): TrainForm {
  const { name, modelId, datasetId } = form;
  return {
    ...copyForm(defaultForm),
    method: form.method,
    ...(JSON.parse(JSON.stringify(preset.values(form.method, model))) as PresetValues),
    name,
    modelId,
    datasetId,
  };
}

/** A field whose value is not the preset's. */
export interface Difference {
  field: OptionName | 'length';
  old: unknown;
  new: unknown;
}

/** What is shown in the form and differs from the preset, in the order of the contract. */
export function differences(
  form: Readonly<TrainForm>,
  base: Readonly<TrainForm>,
  model: Model | undefined,
): Difference[] {
  const read = (of: Readonly<TrainForm>, name: OptionName): unknown =>
    name === 'targets' ? shownTargets(of.targets, model) : of[name];
  const found: Difference[] = optionNames
    .filter((name) => isShown(name, form))
    // Where the preset counts the other way, the whole length is one difference.
    .filter((name) => form.length === base.length || (name !== 'epochs' && name !== 'maxSteps'))
    .map((name) => ({ field: name, old: read(base, name), new: read(form, name) }));
  if (form.length !== base.length)
    found.push({ field: 'length', old: lengthText(base), new: lengthText(form) });
  return found.filter((entry) => JSON.stringify(entry.old) !== JSON.stringify(entry.new));
}

export function lengthText({ length, epochs, maxSteps }: Readonly<TrainForm>): string {
  return length === 'epochs' ? `${epochs ?? '–'} epochs` : `${maxSteps ?? '–'} steps`;
}

/** Gives one field the preset's value again. */
export function revert(form: TrainForm, base: Readonly<TrainForm>, field: Difference['field']): void {
  const source = copyForm(base);
  if (field === 'length') {
    const { length, epochs, maxSteps } = source;
    Object.assign(form, { length, ...(length === 'epochs' ? { epochs } : { maxSteps }) });
  } else Object.assign(form, { [field]: source[field] });
}

/** What is saved of a form: everything but model, data and name. */
export function savedValues(form: Readonly<TrainForm>): PresetValues {
  const { name: _, modelId: __, datasetId: ___, ...values } = copyForm(form);
  return values;
}

/** Saved presets from storage, without what is not one. */
export function restorePresets(saved: { own?: unknown }): { own: OwnPreset[] } {
  const entries = Array.isArray(saved.own) ? (saved.own as unknown[]) : [];
  const own = entries.flatMap((entry): OwnPreset[] => {
    const { id, name, values } = (entry ?? {}) as Partial<Record<keyof OwnPreset, unknown>>;
    if (typeof id !== 'string' || typeof name !== 'string' || typeof values !== 'object' || values === null)
      return [];
    // As a form: an option that came later has its first value.
    return [{ id, name, values: savedValues(restoreForm(values as Partial<Record<string, unknown>>)) }];
  });
  return { own };
}
