import { StudioError } from '../../contract/errors.ts';
import type { EqualBudget, Study, StudyArm, StudyQuestion } from '../../contract/studies.ts';
import { mostStudyRuns } from '../../contract/studies.ts';
import { targetModules, type AdapterConfig, type Method, type TrainConfig } from '../../contract/training.ts';
import { checkTraining } from '../../options/checkAdapter.ts';
import { fittingContext } from '../../options/lengths.ts';
import { amountText } from '../budgetUnits.ts';
import { countParameters } from '../count.ts';
import { settingsText } from '../report.ts';
import { solveBudget } from '../solve.ts';
import type { ModelShape } from '../../shape/modelShape.ts';
import { modelTargets } from '../../shape/targets.ts';
import { paperArms, type WantedArm } from './paperStudies.ts';

/** What a study's settings are checked against. */
export interface StudyModel {
  shape: ModelShape;
  contextLength: number;
}

export interface PlannedArm extends StudyArm {
  config: TrainConfig;
}

/** A run of a study that is still to be made. */
export interface PlannedRun {
  name: string;
  /** Index of its setting. */
  arm: number;
  seed: number;
  config: TrainConfig;
}

export interface StudyPlan extends Pick<Study, 'impossible'> {
  arms: PlannedArm[];
  runs: PlannedRun[];
}

/**
 * Settings and runs that a question asks for on a model. Runs of one seed hold out the same rows and see the others in
 * the same order whatever their method (data/split.ts, data/mix/dataOrder.ts), so that settings are compared
 * pair by pair; they stand together, so that a study that is cut short has whole pairs.
 *
 * @throws StudioError config_invalid where nothing can be trained, or more than 200 runs would be
 */
export function planStudy(model: StudyModel, name: string, question: StudyQuestion): StudyPlan {
  const wanted = armsOf(model, question);
  const plan: StudyPlan = { arms: [], runs: [], impossible: [] };
  for (const arm of wanted) {
    if ('reason' in arm) {
      plan.impossible.push(arm);
      continue;
    }
    try {
      plan.arms.push(checkedArm(model, arm));
    } catch (error) {
      if (!(error instanceof StudioError)) throw error;
      plan.impossible.push({ label: arm.label, reason: `${error.message} ${error.remedy}` });
    }
  }
  if (plan.arms.length === 0)
    throw new StudioError(
      'config_invalid',
      `None of the settings can be trained on this model. ${plan.impossible.map(({ label, reason }) => `${label}: ${reason}`).join(' ')}`,
      'Change the budget, the methods or the model.',
    );
  const total = plan.arms.length * question.seeds.length;
  if (total > mostStudyRuns)
    throw new StudioError(
      'config_invalid',
      `${plan.arms.length} settings with ${question.seeds.length} seeds are ${total} runs; a study has at most ${mostStudyRuns}.`,
      'Take fewer seeds.',
    );
  plan.runs = question.seeds.flatMap((seed) =>
    plan.arms.map(({ label, config }, arm) => ({
      name: `${name} ${label} s${seed}`,
      arm,
      seed,
      config: { ...config, seed },
    })),
  );
  return plan;
}

function armsOf(
  { shape, contextLength }: StudyModel,
  question: StudyQuestion,
): (WantedArm | { label: string; reason: string })[] {
  switch (question.kind) {
    case 'equal_budget':
      return budgetArms(shape, question);
    case 'paper':
      return paperArms(question.study, contextLength);
    case 'data':
      // One configuration: the model admits all of them, or none.
      return question.data.map((label) => ({
        label,
        remainder: null,
        published: null,
        config: question.config,
      }));
  }
}

/** @throws StudioError config_invalid where the model rules it out */
function checkedArm({ shape, contextLength }: StudyModel, { config, ...arm }: WantedArm): PlannedArm {
  const { adapter } = config;
  const own = {
    ...config,
    context: fittingContext(config.context, contextLength),
    adapter: { ...adapter, targets: modelTargets(shape, adapter.targets) },
  };
  checkTraining(shape, own);
  const { trainable } = countParameters(shape, own.adapter);
  return { ...arm, method: adapter.method, rank: adapter.rank, trainable, config: own };
}

/**
 * Each method at the greatest rank within the budget, everything else as it is given. Alpha keeps its ratio to the
 * rank, so that the update is scaled alike.
 */
function budgetArms(
  shape: ModelShape,
  { methods, budget, config }: EqualBudget,
): (WantedArm | { label: string; reason: string })[] {
  const ratio = config.adapter.alpha / config.adapter.rank;
  return methods.map((method) => {
    const adapter = ofMethod(config.adapter, method);
    try {
      const found = solveBudget(shape, adapter, budget);
      if (!found.solution) {
        const { nearest } = found;
        if (!nearest) return { label: method, reason: 'No rank can be built on this model.' };
        const settings = method === 'full' ? '' : ` (${settingsText(nearest.adapter)})`;
        return {
          label: method,
          reason: `The nearest possible is ${amountText(nearest.used, budget.unit)}${settings}.`,
        };
      }
      const { rank } = found.solution.adapter;
      return {
        label: method === 'full' ? method : `${method} r${rank}`,
        remainder: found.solution.remainder,
        published: null,
        config: { ...config, adapter: { ...adapter, rank, alpha: method === 'full' ? 1 : ratio * rank } },
      };
    } catch (error) {
      if (!(error instanceof StudioError)) throw error;
      return { label: method, reason: `${error.message} ${error.remedy}` };
    }
  });
}

/**
 * The options with another method: patterns name ranks, which the budget decides; full fine-tuning has no adapter to
 * describe.
 */
function ofMethod(adapter: AdapterConfig, method: Method): AdapterConfig {
  const own = { ...adapter, method, rankPattern: {}, alphaPattern: {} };
  return method === 'full'
    ? { ...own, dropout: 0, rankStabilized: false, layers: null, targets: [...targetModules] }
    : own;
}
