import type { ProcedureInput } from '../../../../src-main/contract/procedures.ts';
import {
  templateNames,
  trainOnNames,
  truncations,
  type TemplateName,
  type TrainOn,
  type Truncation,
} from '../../../../src-main/contract/templates.ts';

/** Through what a model sees rows. */
export interface SeenForm {
  /** Its id; null: none was chosen. */
  model: string | null;
  template: TemplateName;
  /** Of a template of one's own. */
  source: string;
  /** Empty: none is put before rows that have none. */
  system: string;
  trainOn: TrainOn;
  truncation: Truncation;
  /** Tokens of a row at most; null: as many as the model takes. */
  context: number | null;
}

/** A template to begin one's own with. */
export const firstTemplate = `{%- for message in messages %}
{{- '<|' + message['role'] + '|>\\n' + message['content'] + eos_token + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>\\n' }}{% endif %}`;

/** What was stored, as a form; anything else as usual. */
export function restoreSeen(saved: Partial<Record<keyof SeenForm, unknown>>): SeenForm {
  const one = <T extends string>(value: unknown, of: readonly T[], usual: T): T =>
    of.find((name) => name === value) ?? usual;
  const text = (value: unknown, usual = '') => (typeof value === 'string' ? value : usual);
  return {
    model: typeof saved.model === 'string' ? saved.model : null,
    template: one(saved.template, templateNames, 'auto'),
    source: text(saved.source, firstTemplate),
    system: text(saved.system),
    trainOn: one(saved.trainOn, trainOnNames, 'assistant'),
    truncation: one(saved.truncation, truncations, 'right'),
    context: Number.isInteger(saved.context) && Number(saved.context) >= 1 ? Number(saved.context) : null,
  };
}

/** The question for rows as a model sees them; null where a template of one's own is empty. */
export function previewInput(
  form: SeenForm,
  asked: { dataset: string; model: string; offset: number; limit: number },
): ProcedureInput<'datasets.preview'> | null {
  const isOwn = form.template === 'custom';
  if (isOwn && form.source.trim() === '') return null;
  return {
    ...asked,
    template: {
      name: form.template,
      source: isOwn ? form.source : null,
      system: form.system === '' ? null : form.system,
    },
    trainOn: form.trainOn,
    truncation: form.truncation,
    context: form.context,
  };
}

/** The question for lengths of all rows of a part; null where a template of one's own is empty. */
export function lengthsInput(
  form: SeenForm,
  asked: { dataset: string; model: string; split: 'train' | 'validation' | 'test' },
): ProcedureInput<'datasets.lengths'> | null {
  const isOwn = form.template === 'custom';
  if (isOwn && form.source.trim() === '') return null;
  return {
    ...asked,
    rendering: {
      template: form.template,
      templateSource: isOwn ? form.source : null,
      system: form.system === '' ? null : form.system,
      trainOn: form.trainOn,
    },
  };
}
