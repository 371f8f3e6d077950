import type { Run } from '../../../src-main/contract/entities.ts';
import type { Evaluation } from '../../../src-main/contract/results.ts';

/** What a subject is called: a run by its present name, a base model by its own. */
export function subjectName(
  { runId, subject, modelName }: Pick<Evaluation, 'runId' | 'subject' | 'modelName'>,
  run: Run | undefined,
): string {
  if (runId !== null) return run?.name ?? subject;
  return subject === 'base' ? `${modelName} (base)` : subject;
}
