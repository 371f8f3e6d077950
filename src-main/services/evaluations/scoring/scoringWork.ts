import type { Run } from '../../../contract/entities.ts';
import type { ScoredData } from '../../../contract/inputs.ts';
import type { ProcedureParsedInput } from '../../../contract/procedures.ts';
import type { ScoringTask } from '../../../contract/evaluation/scoring.ts';
import type { Evaluation } from '../../../contract/results.ts';
import { findEvaluations, listEvaluations } from '../../../store/results.ts';
import { findRun } from '../../../store/runs.ts';
import type { ServiceContext } from '../../context.ts';
import type { DatasetService } from '../../data/datasetService.ts';
import { typedPath } from '../../homePaths.ts';
import type { ModelService } from '../../models/models.ts';
import type { RunService } from '../../runs/runService.ts';
import type { EvaluationService } from '../evaluations.ts';
import { requireOwnModel } from '../subjects.ts';
import { createGuardService } from '../guards/guards.ts';
import { itemSeconds } from '../itemSeconds.ts';
import { createJudgmentService } from '../verdicts/judgedPairs.ts';

export interface ScoringParts {
  context: ServiceContext;
  models: ModelService;
  datasets: DatasetService;
  runs: RunService;
  /** The evaluations of a project: an entry is scored in its own, whichever is open then. */
  evaluationsOf(context: ServiceContext): EvaluationService;
}

/** A task as it is kept, and what is known of it before it has its turn. */
export interface PlannedTask {
  task: ScoringTask;
  title: string;
  after: string[];
  seconds: number | null;
}

/** A run that will be trained without being asked again. */
const isAwaited = ({ state }: Run) => state === 'queued' || state === 'running';

/**
 * Checks a task, and names everything in it by ids: names may change, or mean something else in another project.
 * @throws StudioError what `evaluations.start` would refuse before it reads any data
 */
export async function planTask(parts: ScoringParts, task: ScoringTask): Promise<PlannedTask> {
  const { context, models, runs } = parts;
  const named = await nameParts(parts, task);
  const subjects = runsOf(context, named);
  const after = subjects.filter(isAwaited).map(({ id }) => id);
  const evaluations = parts.evaluationsOf(context);
  // Whether it may be done at all is no question of the training.
  await evaluations.checkBenchmarks(benchmarksOf(named));
  const isUntrained = (id: string | null) => id !== null && after.includes(id);
  // Of a run that is not trained yet everything is checked but its adapter, which is not there.
  const check = async (input: ProcedureParsedInput<'evaluations.start'>) => {
    const run = subjects.find(({ id }) => id === input.adapter);
    if (run && isUntrained(run.id)) {
      requireOwnModel(run, models.get(input.model));
      await evaluations.check({ ...input, adapter: null, step: undefined });
    } else await evaluations.check(input);
  };
  switch (named.kind) {
    case 'score':
      await check(named.input);
      break;
    case 'compare':
      for (const input of evaluations.inputsOf(named.input)) await check(input);
      break;
    case 'guards':
      if (!isUntrained(named.input.run)) runs.requireCheckpoint(runs.get(named.input.run));
      break;
    case 'judge':
      judgmentsOf(parts, context).list(named.input.a, named.input.b);
      break;
    default:
      throw new Error(`unknown task ${JSON.stringify(named satisfies never)}`);
  }
  return { task: named, title: titleOf(named, { context, models }), after, seconds: secondsOf(parts, named) };
}

function benchmarksOf(task: ScoringTask): string[] {
  if (task.kind === 'judge') return [];
  return task.kind === 'guards'
    ? task.input.guards.map(({ benchmark }) => benchmark)
    : [task.input.benchmark];
}

/** The scores of a task that are there already; null: something is to be computed. */
export async function knownScores(parts: ScoringParts, task: ScoringTask): Promise<Evaluation[] | null> {
  if (task.kind === 'guards' || task.kind === 'judge') return null;
  const evaluations = parts.evaluationsOf(parts.context);
  const inputs = task.kind === 'score' ? [task.input] : evaluations.inputsOf(task.input);
  const found: Evaluation[] = [];
  for (const input of inputs) {
    const known = await evaluations.known(input);
    // A score of a checkpoint becomes one of its run when it is asked for as that.
    if (known === null || known.step !== null) return null;
    found.push(known);
  }
  return found;
}

/**
 * Names what a task scores: tasks that have none of it in common need no evaluation of each other, so that both can be
 * worked on at once.
 */
export function subjectsOf(task: ScoringTask): string[] {
  const one = ({ model, adapter }: { model: string; adapter: string | null }) => adapter ?? model;
  switch (task.kind) {
    case 'score':
      return [one(task.input), ...(task.input.judge ? [one(task.input.judge)] : [])];
    case 'compare':
      return task.input.runs;
    // The base of a run is scored with it, and not named: one at a time.
    case 'guards':
      return ['guards', task.input.run];
    case 'judge':
      return [one(task.input.judge)];
    default:
      throw new Error(`unknown task ${JSON.stringify(task satisfies never)}`);
  }
}

/** Computes the scores of a task in its project; those that are there stay. */
export async function scoreTask(
  parts: ScoringParts,
  { id: entry, project, task }: { id: string; project: string; task: ScoringTask },
  signal: AbortSignal,
): Promise<Evaluation[]> {
  const { emit } = parts.context;
  const context: ServiceContext = {
    ...parts.context,
    project,
    // Several may be under way: whoever shows one must know which.
    emit: (event) => emit(event.type === 'progress' ? { ...event, entry } : event),
  };
  const evaluations = parts.evaluationsOf(context);
  switch (task.kind) {
    case 'score':
      return [await evaluations.start(task.input, signal)];
    case 'compare': {
      const made: Evaluation[] = [];
      for (const input of evaluations.inputsOf(task.input)) made.push(await evaluations.start(input, signal));
      return made;
    }
    case 'guards':
      return createGuardService(context, parts.datasets, parts.runs, evaluations).score(task.input, signal);
    case 'judge':
      await judgmentsOf(parts, context).start(task.input, signal);
      return [];
    default:
      throw new Error(`unknown task ${JSON.stringify(task satisfies never)}`);
  }
}

const judgmentsOf = ({ models, runs }: ScoringParts, context: ServiceContext) =>
  createJudgmentService(context, models, runs);

async function nameParts(parts: ScoringParts, task: ScoringTask): Promise<ScoringTask> {
  const { context, models, runs } = parts;
  const dataOf = <T extends { data: ScoredData | null }>(input: T) => ({
    ...input,
    data: input.data && namedData(parts, input.data),
  });
  const subjectOf = async ({ model, adapter }: { model: string; adapter: string | null }) => {
    const run = adapter === null ? null : findRun(context.database, context.project, adapter);
    const known = await models.getOrAdd(model);
    return { model: known.id, adapter: run?.id ?? (adapter === null ? null : typedPath(adapter)) };
  };
  switch (task.kind) {
    case 'score': {
      const { judge } = task.input;
      const input = {
        ...dataOf(task.input),
        ...(await subjectOf(task.input)),
        ...(judge && { judge: { ...judge, ...(await subjectOf(judge)) } }),
      };
      return { kind: 'score', input };
    }
    case 'compare':
      return {
        kind: 'compare',
        input: { ...dataOf(task.input), runs: task.input.runs.map((name) => runs.get(name).id) },
      };
    case 'guards':
      return {
        kind: 'guards',
        input: {
          ...task.input,
          run: runs.get(task.input.run).id,
          guards: task.input.guards.map(dataOf),
        },
      };
    case 'judge': {
      const { judge } = task.input;
      return { kind: 'judge', input: { ...task.input, judge: { ...judge, ...(await subjectOf(judge)) } } };
    }
    default:
      throw new Error(`unknown task ${JSON.stringify(task satisfies never)}`);
  }
}

function namedData({ datasets }: ScoringParts, data: ScoredData): ScoredData {
  return 'path' in data ? { path: typedPath(data.path) } : { dataset: datasets.get(data.dataset).id };
}

/** Runs that a task scores, as they are now. */
function runsOf({ database, project }: ServiceContext, task: ScoringTask): Run[] {
  return namesOfRuns(task).flatMap((name) => findRun(database, project, name) ?? []);
}

function namesOfRuns(task: ScoringTask): string[] {
  switch (task.kind) {
    case 'score':
      return task.input.adapter === null ? [] : [task.input.adapter];
    case 'compare':
      return task.input.runs;
    case 'guards':
      return [task.input.run];
    case 'judge':
      return task.input.judge.adapter === null ? [] : [task.input.judge.adapter];
    default:
      throw new Error(`unknown task ${JSON.stringify(task satisfies never)}`);
  }
}

function titleOf(task: ScoringTask, { context, models }: Pick<ScoringParts, 'context' | 'models'>): string {
  const names = runsOf(context, task).map(({ name }) => name);
  switch (task.kind) {
    case 'score': {
      const { adapter, model, benchmark, limit, step } = task.input;
      const base = models.get(model).name;
      const subject = names[0] ?? (adapter === null ? `${base} (base)` : adapter);
      const of = step === undefined ? subject : `${subject}, step ${step}`;
      return `${of} by ${benchmark}${limit === null ? '' : `, ${limit} items`}`;
    }
    case 'compare':
      return `${names.join(', ')} by ${task.input.benchmark}`;
    case 'guards':
      return `Guards of ${names[0]!}: ${task.input.guards.map(({ benchmark }) => benchmark).join(', ')}`;
    case 'judge': {
      const { a, b, judge } = task.input;
      const subjects = findEvaluations(context.database, context.project, [a, b]);
      return `${models.get(judge.model).name} judges ${subjects.map(({ subject }) => subject).join(' and ')}`;
    }
    default:
      throw new Error(`unknown task ${JSON.stringify(task satisfies never)}`);
  }
}

/** By what items of the same benchmark and model took here; of all items of data, as many as were scored before. */
function secondsOf(parts: ScoringParts, task: ScoringTask): number | null {
  const { context } = parts;
  if (task.kind === 'guards' || task.kind === 'judge') return null;
  const all = listEvaluations(context.database, context.project);
  const inputs = task.kind === 'score' ? [task.input] : parts.evaluationsOf(context).inputsOf(task.input);
  let sum = 0;
  for (const { model, adapter, benchmark, precision, limit, data } of inputs) {
    const rate = itemSeconds({ benchmark, precision, modelId: model, runId: adapter }, all);
    const whole = all.find(
      ({ asked, benchmark: other }) =>
        other === benchmark && asked?.limit === null && JSON.stringify(asked.data) === JSON.stringify(data),
    );
    const items = limit ?? whole?.n ?? null;
    if (rate === null || items === null) return null;
    sum += rate * items;
  }
  return sum;
}
