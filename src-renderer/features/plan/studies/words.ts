import { amountText } from '../../../../src-main/budget/budgetUnits.ts';
import { paperStudy } from '../../../../src-main/budget/studies/paperStudies.ts';
import type { Study } from '../../../../src-main/contract/studies.ts';

/** What a study asks, as a sentence. */
export function questionSentence({ question, arms, modelName, datasetName }: Study): string {
  const seeds = question.seeds.length === 1 ? 'one seed' : `${question.seeds.length} seeds`;
  const place = `${modelName} on ${datasetName}, ${seeds}`;
  if (question.kind === 'paper') return `${paperStudy(question.study).title}: ${place}.`;
  const settings = arms.length === 1 ? 'One setting' : `${arms.length} settings`;
  return `${settings} within ${amountText(question.budget.most, question.budget.unit)}: ${place}.`;
}
