import type { BenchmarkInfo } from '../../../../src-main/contract/evaluation/benchmarks.ts';
import type { ProcedureInput } from '../../../../src-main/contract/procedures.ts';
import { askedOf, missingOf, restoreBenchmark, type BenchmarkForm } from '../benchmarkForm.ts';

/** By what the cost of a training is looked for. */
export interface GuardForm {
  runId: string | null;
  /** A general text that the run was not trained on. */
  textId: string | null;
  /** Prompts to refuse, and such that look alike and are to be answered. */
  refusalId: string | null;
  /** Items of each at most; null: all. */
  limit: number | null;
  /** Further benchmarks. */
  others: BenchmarkForm[];
  checkpoints: boolean;
}

/** What was stored, as far as it is of the right kind. */
export function restoreGuards(saved: Partial<GuardForm>): GuardForm {
  const id = (value: unknown) => (typeof value === 'string' ? value : null);
  return {
    runId: id(saved.runId),
    textId: id(saved.textId),
    refusalId: id(saved.refusalId),
    limit: typeof saved.limit === 'number' ? saved.limit : null,
    others: Array.isArray(saved.others) ? saved.others.map((one) => restoreBenchmark(one, 100)) : [],
    checkpoints: saved.checkpoints === true,
  };
}

/** The form as it is asked for; null where something is missing. */
export function guardsInput(
  form: GuardForm,
  infos: readonly BenchmarkInfo[],
): ProcedureInput<'guards.check'> | null {
  if (form.runId === null || missingGuards(form, infos) !== null) return null;
  const { limit } = form;
  const of = (benchmark: string, dataset: string | null) =>
    dataset === null ? [] : [{ benchmark, data: { dataset }, limit }];
  return {
    run: form.runId,
    guards: [
      ...of('perplexity', form.textId),
      ...of('refusal', form.refusalId),
      ...form.others.map((one) => askedOf(one, infoOf(one, infos))),
    ],
    checkpoints: form.checkpoints,
  };
}

/** What the form lacks; null: nothing. */
export function missingGuards(form: GuardForm, infos: readonly BenchmarkInfo[]): string | null {
  if (form.runId === null) return 'Choose a run.';
  if (form.textId === null && form.refusalId === null && form.others.length === 0)
    return 'Choose a general text, prompts, or a benchmark.';
  for (const one of form.others) {
    const missing = missingOf(one, infoOf(one, infos), false);
    if (missing !== null) return missing;
  }
  return null;
}

function infoOf({ benchmark }: BenchmarkForm, infos: readonly BenchmarkInfo[]): BenchmarkInfo | undefined {
  return infos.find(({ name }) => name === benchmark);
}
