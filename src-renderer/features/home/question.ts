import type { Answer, Comparison, Evaluation, Project, Run } from '../../../src-main/contract/entities.ts';
import { shortCount } from '../../ui/format.ts';

/** The question as the project asks it, or as its limits put it. */
export function questionOf(project: Pick<Project, 'question' | 'benchmark' | 'maxTrainable'>): string {
  if (project.question) return project.question;
  const on = project.benchmark ? ` on ${project.benchmark}` : '';
  const under = project.maxTrainable ? ` under ${shortCount(project.maxTrainable)} parameters` : '';
  return `Which adapter is best${on}${under}?`;
}

/** The verdict in words; in the comparison `b` leads. A sign is never alone: words stand beside it. */
export function verdictOf({ verdict, a, b }: Pick<Comparison, 'verdict' | 'a' | 'b'>): {
  arrow: string;
  words: string;
} {
  switch (verdict) {
    case 'b_better':
      return { arrow: '↑', words: `${b} is better than ${a}` };
    case 'a_better':
      return { arrow: '↓', words: `${b} is worse than ${a}` };
    case 'cannot_tell':
      return { arrow: '≈', words: `${b} leads, but cannot be told from ${a} yet` };
    default:
      throw new Error(`unknown verdict ${String(verdict satisfies never)}`);
  }
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
