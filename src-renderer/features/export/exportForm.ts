import type { ExportFormat, Run } from '../../../src-main/contract/entities.ts';

/** What a format is for. */
export const formatWords: Readonly<Record<ExportFormat, { title: string; text: string; files: string }>> = {
  peft: {
    title: 'Adapter (PEFT)',
    text: 'The trained numbers alone, beside the base model. Loads in PEFT where PEFT knows the method.',
    files: 'adapter_config.json, adapter_model.safetensors',
  },
  merged: {
    title: 'Whole model',
    text: 'A complete Hugging Face folder: config, weights and tokenizer. Loads wherever such folders load.',
    files: 'config.json, *.safetensors, tokenizer.json',
  },
};

/** Why a run cannot be exported in a format; null where it can. */
export function exportProblem(run: Run, format: ExportFormat): string | null {
  const isFull = run.config.adapter.method === 'full';
  if (format === 'peft' && isFull) return 'Full fine-tuning trained every parameter: there is no adapter.';
  if (format === 'merged' && !isFull)
    return 'Only what full fine-tuning trained is exported as a whole model.';
  return null;
}

/** The format that a run has. */
export function firstFormat(run: Run): ExportFormat {
  return run.config.adapter.method === 'full' ? 'merged' : 'peft';
}

/** Runs that have something to export: they did a step and do not train at the moment. */
export function isExportable(run: Run): boolean {
  return run.step > 0 && run.state !== 'running' && run.state !== 'queued';
}
