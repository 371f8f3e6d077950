import type { Project, Run } from '../../../src-main/contract/entities.ts';
import type { Answer } from '../../../src-main/contract/evaluation/comparison.ts';
import type { Evaluation } from '../../../src-main/contract/results.ts';
import { shortCount } from '../../ui/format.ts';

/** The question as the project asks it, or as its limits put it. */
export function questionOf(project: Pick<Project, 'question' | 'benchmark' | 'maxTrainable'>): string {
  if (project.question) return project.question;
  const on = project.benchmark ? ` on ${project.benchmark}` : '';
  const under = project.maxTrainable ? ` under ${shortCount(project.maxTrainable)} parameters` : '';
  return `Which adapter is best${on}${under}?`;
}

/** Why there is no answer yet, and what would give one. */
export function whatIsMissing(
  project: Pick<Project, 'benchmark' | 'maxTrainable'>,
  answer: Pick<Answer, 'evaluations'>,
  state: { runs: readonly Run[]; evaluations: readonly Evaluation[] },
): string {
  const on = project.benchmark ? ` on ${project.benchmark}` : '';
  if (answer.evaluations.length > 0)
    return `No answer yet: only ${answer.evaluations[0]!.subject} was scored${on}. A second run, or the base model, on the same items gives one.`;
  const done = state.runs.filter((run) => run.state === 'done');
  if (done.length === 0)
    return 'No answer yet: it takes two runs that are done and compared on the same items.';
  const { maxTrainable } = project;
  if (maxTrainable !== null && done.every(({ trainable }) => trainable !== null && trainable > maxTrainable))
    return `No answer yet: every run that is done has more than ${shortCount(maxTrainable)} trainable parameters.`;
  if (state.evaluations.length > 0 && project.benchmark)
    return `No answer yet: no adapter within the limits was scored${on}.`;
  return done.length === 1
    ? 'No answer yet: one run is done. A second one on the same data, compared with it, gives one.'
    : `No answer yet: ${done.length} runs are done, and none is compared.`;
}
