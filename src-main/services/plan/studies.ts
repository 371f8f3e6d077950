import { paperStudy, studyNotes } from '../../budget/studies/paperStudies.ts';
import { checkStudyData, leakNotes } from '../../budget/studies/studyData.ts';
import { planStudy, type StudyPlan } from '../../budget/studies/plan.ts';
import type { Model, Run } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { ProcedureHandlers } from '../../contract/procedures.ts';
import {
  dataQuestionSchema,
  studySchema,
  type Study,
  type StudyOutcome,
  type StudyQuestion,
} from '../../contract/studies.ts';
import type { EngineEvent } from '../../engine/messages.ts';
import { compareOverSeeds, type SeedScore } from '../../statistics/seeds.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import { findRun } from '../../store/runs.ts';
import { listEvaluations } from '../../store/results.ts';
import { findStudy, insertStudy, listStudies } from '../../store/studies.ts';
import { missing, newId, type ServiceContext } from '../context.ts';
import type { DatasetService } from '../data/datasetService.ts';
import type { ModelService } from '../models/models.ts';
import { mixLeaves } from '../mixes/mixTree.ts';
import { deduplicationOf } from '../mixes/planMix.ts';
import { trainingSourceOrFile, type TrainingSource } from '../mixes/trainingSources.ts';
import { withProgress } from '../progress.ts';
import { plannedRun } from '../runs/newRun.ts';
import type { RunService, StartedRun } from '../runs/runService.ts';

/** A study as it is asked for. */
export interface StudyRequest {
  name: string;
  model: string;
  dataset: string;
  question: StudyQuestion;
}

/** A study that is planned and not made. */
export interface PlannedStudy {
  model: Model;
  /** What each setting is trained on: one for all, or one for each where data are compared. */
  sources: TrainingSource[];
  question: StudyQuestion;
  plan: StudyPlan;
  notes: string[];
}

export interface StudyService {
  /** Newest first. */
  list(): Study[];
  get(reference: string): Study;
  /** What its runs say so far. */
  outcome(reference: string): StudyOutcome;
  /**
   * Puts what is left of a study at the front of the queue, in its order: runs that wait, and those that ended before
   * their last step.
   * @param options.force also where those do not fit into memory
   * @throws StudioError does_not_fit, or as a run that cannot go on says
   */
  resume(
    reference: string,
    watch?: (run: Run) => (event: EngineEvent) => void,
    options?: { force?: boolean },
  ): Promise<{ study: Study; started: StartedRun[] }>;
  /** What would be made. @throws StudioError config_invalid */
  plan(request: StudyRequest): Promise<PlannedStudy>;
  /**
   * Makes a study with all its runs, or nothing, and puts the runs at the end of the queue.
   * @param request.force starts also what does not fit into memory
   * @param watch gives what sees the engine's events of each run
   * @throws StudioError config_invalid, name_taken, does_not_fit
   */
  start(
    request: StudyRequest & { force?: boolean },
    watch?: (run: Run) => (event: EngineEvent) => void,
  ): Promise<{ study: Study; started: StartedRun[] }>;
  /** Forgets a study; its runs stay. For a minute it can be brought back. */
  remove(reference: string): void;
  restore(id: string): Study;
}

/** The held-out loss of the checkpoint that stands for a run: the best one where that is kept. */
function heldOutLoss({ config, best, lastHeldOutLoss }: Run): number | null {
  return config.keepBest ? (best?.loss ?? null) : lastHeldOutLoss;
}

export function createStudyService(
  context: ServiceContext,
  models: ModelService,
  datasets: DatasetService,
  runs: RunService,
): StudyService {
  const { database, emit, trash } = context;
  trash.ofKind('studies', () => undefined);
  const get = (reference: string): Study => {
    const found = findStudy(database, context.project, reference);
    if (found) return found;
    const known = listStudies(database, context.project).map(({ name }) => name);
    throw missing('study', reference, known);
  };

  async function plan({ name, ...request }: StudyRequest): Promise<PlannedStudy> {
    const model = await models.getOrAdd(request.model);
    const wanted = request.question.kind === 'data' ? request.question.data : [request.dataset];
    const sources: TrainingSource[] = [];
    for (const reference of wanted) sources.push(await trainingSourceOrFile(context, datasets, reference));
    const question: StudyQuestion =
      request.question.kind === 'data'
        ? dataQuestionSchema.parse({ ...request.question, data: sources.map((source) => source.name) })
        : request.question;
    const study = question.kind === 'paper' ? paperStudy(question.study) : null;
    const library = datasets.list();
    const scored = new Set(listEvaluations(database, context.project).map(({ dataPath }) => dataPath));
    const leaks: string[] = [];
    const trained = new Map(
      sources.flatMap(({ node }) => mixLeaves(node).map(({ dataset }) => [dataset.id, dataset] as const)),
    );
    for (const dataset of trained.values()) {
      const shared = await datasets.shared(dataset.id);
      // Found anew: older datasets do not say what they hold.
      const benchmarkRows = shared.filter((rows) => library.every((other) => other.name !== rows.with));
      if (study) checkStudyData(study.scoredWith, { ...dataset, benchmarkRows });
      for (const note of leakNotes(dataset, shared, library, scored)) leaks.push(note);
    }
    return {
      model,
      sources,
      question,
      plan: planStudy(
        { shape: readDecoderConfig(model.folder), contextLength: model.contextLength },
        name,
        question,
      ),
      notes: [
        ...leaks,
        ...(sources.length > 1 ? heldOutNotes(sources) : []),
        ...(study
          ? studyNotes(study, { model, data: { name: sources[0]!.name, datasets: [...trained.values()] } })
          : []),
      ],
    };
  }

  return {
    list: () => listStudies(database, context.project),
    get,
    plan,

    start(request, watch) {
      const { name } = request;
      return withProgress(context, `study ${name}`, 'Planning the runs', async (report) => {
        const { project } = context;
        const { model, sources, question, plan: planned, notes } = await plan(request);
        const sourceOf = (arm: number) => sources[arm] ?? sources[0]!;
        if (findStudy(database, project, name))
          throw new StudioError('name_taken', `There is already a study "${name}".`, 'Choose another name.');
        report('Checking that the runs fit into memory');
        if (!request.force)
          await runs.refuseWhatDoesNotFit(
            planned.arms.map(({ label, config }, arm) => ({
              name: label,
              model,
              source: sourceOf(arm),
              config,
            })),
          );
        const made = planned.runs.map((run) => ({
          ...run,
          run: plannedRun({ ...run, project, model, source: sourceOf(run.arm) }),
        }));
        const study: Study = {
          id: newId(),
          project,
          name,
          question,
          notes,
          impossible: planned.impossible,
          arms: planned.arms.map(({ config: _, ...arm }) => arm),
          modelId: model.id,
          modelName: model.name,
          datasetId: sources[0]!.id,
          datasetName: sources.map((source) => source.name).join(', '),
          runs: made.map(({ run, arm, seed }) => ({ runId: run.id, arm, seed })),
          createdAt: new Date().toISOString(),
        };
        const started = runs.startTogether(
          made.map(({ run }) => run),
          { watch, record: (writable) => insertStudy(writable, study) },
        );
        emit({ type: 'studies.changed' });
        return { study, started };
      });
    },

    outcome(reference) {
      const study = get(reference);
      const scores = study.runs.flatMap(({ runId, arm, seed }): SeedScore[] => {
        const run = findRun(database, study.project, runId);
        const value = run?.state === 'done' ? heldOutLoss(run) : null;
        return value === null ? [] : [{ arm, seed, value }];
      });
      return compareOverSeeds(study.arms.length, scores);
    },

    async resume(reference, watch, options) {
      const study = get(reference);
      const left = study.runs.flatMap(({ runId }): Run[] => {
        const run = findRun(database, study.project, runId);
        return run && run.state !== 'running' && (run.state === 'queued' || run.resumable) ? [run] : [];
      });
      const started = await runs.resumeTogether(left, watch, options);
      return { study, started };
    },

    remove(reference) {
      trash.put('studies', get(reference).id);
      emit({ type: 'studies.changed' });
    },
    restore(id) {
      trash.restore(
        'studies',
        id,
        (name, entity) => findStudy(database, studySchema.parse(entity).project, name) !== null,
      );
      emit({ type: 'studies.changed' });
      return get(id);
    },
  };
}

/**
 * Whether data that are compared hold out the same rows: the split of a source follows from its rows and the seeds,
 * whatever its share.
 */
function heldOutNotes(sources: readonly TrainingSource[]): string[] {
  const splits = sources.map(({ node }) =>
    JSON.stringify([
      mixLeaves(node)
        .map(({ dataset, split }) => `${dataset.contentHash} ${split}`)
        .sort(),
      deduplicationOf(node),
      node.recipe.seed,
      node.recipe.order,
    ]),
  );
  if (new Set(splits).size === 1) return [];
  return [
    'The data hold out different rows, so that their held-out losses are not of the same text: score the adapters on one benchmark to compare them. Mixes of the same sources, with the same seed, hold out the same rows.',
  ];
}

/** What callers ask of them. */
export const studyHandlers = (studies: StudyService) =>
  ({
    'studies.list': () => studies.list(),
    'studies.get': ({ study }) => studies.get(study),
    'studies.start': async (request) => (await studies.start(request)).study,
    'studies.outcome': ({ study }) => studies.outcome(study),
    'studies.resume': async ({ study, force }) => (await studies.resume(study, undefined, { force })).study,
    'studies.remove': ({ study }) => {
      studies.remove(study);
      return {};
    },
    'studies.restore': ({ study }) => studies.restore(study),
  }) satisfies Partial<ProcedureHandlers>;
