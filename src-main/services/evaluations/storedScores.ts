import { basename } from 'node:path';
import type {
  Answer,
  Comparison,
  ComparisonOutcome,
  ItemScatter,
  Scatter,
  SeedScatter,
} from '../../contract/evaluation/comparison.ts';
import type { Evaluation } from '../../contract/results.ts';
import { itemScatter } from '../../evaluation/compare.ts';
import { lossFigures } from '../../evaluation/confounders.ts';
import { meeting, sameItems, standings } from '../../evaluation/standing.ts';
import { couldTell } from '../../evaluation/verdict.ts';
import { leakWarning } from '../../statistics/scores.ts';
import { findProject } from '../../store/projects.ts';
import { findEvaluations, listEvaluations, readEvaluationItems } from '../../store/results.ts';
import { findRun, trainableOf } from '../../store/runs.ts';
import { missing, type ServiceContext } from '../context.ts';
import type { StudyService } from '../plan/studies.ts';
import { compareSubjectsApart } from './verdicts/judgeThread.ts';
import { gradedOf, judgeSubjects, type JudgedSubject } from './verdicts/judging.ts';

/** What a project's stored scores say, without running anything. */
type Stored = Pick<ServiceContext, 'database' | 'project'>;

/**
 * What the open project's scores say about its question. The newest scores answer it; where no outcome of theirs could
 * have shown a difference, older ones of the same kind that could do so stand, and the newer are named.
 */
export async function readAnswer(stored: Stored): Promise<Answer> {
  const { database, project } = stored;
  const goal = findProject(database, project) ?? { benchmark: null, maxTrainable: null };
  const groups = standings(listEvaluations(database, project), goal, (id) => trainableOf(database, id));
  const best = groups.filter((group) => meeting(group) === meeting(groups[0]!));
  const passedOver: string[] = [];
  let newest: Answer | null = null;
  for (const evaluations of best) {
    const comparison = await compareBest(stored, evaluations);
    newest ??= { evaluations, comparison, passedOver: [] };
    if (!comparison) break;
    if (couldTell(comparison)) return { evaluations, comparison, passedOver };
    passedOver.push(
      `Newer scores on ${comparison.n} items of ${comparison.benchmark} are passed over: ` +
        `${comparison.b} and ${comparison.a} differ on ${comparison.differing} of them, which could show nothing.`,
    );
  }
  return newest ?? { evaluations: [], comparison: null, passedOver: [] };
}

/** The best adapter of a group (`b`) against the next best, or against the base model; null where it is alone. */
async function compareBest(
  { database, project }: Stored,
  evaluations: readonly Evaluation[],
): Promise<Comparison | null> {
  const leader = evaluations.find(({ runId }) => runId !== null);
  const rival =
    evaluations.find((other) => other !== leader && other.runId !== null) ??
    evaluations.find((other) => other !== leader);
  if (!leader || !rival) return null;
  const graded = [];
  for (const evaluation of [rival, leader]) {
    const { runId, subject: name } = evaluation;
    const run = runId === null ? null : findRun(database, project, runId);
    graded.push(await gradedOf(database, { evaluation, name, run }));
  }
  // The two were chosen by their scores: all pairs of the group count.
  const chosenOf = (evaluations.length * (evaluations.length - 1)) / 2;
  const compared = await compareSubjectsApart(leader.benchmark, basename(leader.dataPath), graded, {
    chosenOf,
    warnings: [rival, leader].flatMap(leakWarning),
  });
  return compared[0]!;
}

/**
 * What stored scores on the same items say of each other; runs nothing.
 * @param ids of evaluations of the open project
 * @param contextOf positions of a model by its id; null: it is gone
 * @throws StudioError not_found, and usage where they are not on the same items
 */
export async function judgeStored(
  stored: Stored,
  ids: readonly string[],
  contextOf: (modelId: string) => number | null = () => null,
): Promise<ComparisonOutcome> {
  const evaluations = findEvaluations(stored.database, stored.project, ids);
  const absent = ids.find((id) => !evaluations.some((evaluation) => evaluation.id === id));
  if (absent !== undefined) throw missing('evaluation', absent, []);
  const subjects: JudgedSubject[] = [];
  for (const evaluation of evaluations) {
    const { runId, subject, modelName } = evaluation;
    const run = runId === null ? null : findRun(stored.database, stored.project, runId);
    const name = run?.name ?? (subject === 'base' ? `${modelName} (base)` : subject);
    // A run may stand there twice, as it was and as it was trained on.
    const times = subjects.filter((other) => other.run?.id === run?.id && other.name.startsWith(name)).length;
    subjects.push({ evaluation, run, name: times === 0 ? name : `${name} (${times + 1})` });
  }
  const [first] = evaluations;
  const context = contextOf(first!.modelId);
  const isHeldOut = first!.benchmark === 'perplexity' && first!.asked?.data === null;
  const figures =
    isHeldOut && context !== null
      ? lossFigures(
          subjects.flatMap(({ run }) => run ?? []),
          context,
        )
      : null;
  return judgeSubjects(stored, subjects, {
    warnings: evaluations.flatMap(leakWarning),
    notes: figures === null ? [] : [figures],
  });
}

/** So many pairs are told of, the newest: a person chooses among them. */
const mostPairs = 12;
/** Of one group of scores, so many subjects are paired with each other. */
const mostSubjects = 4;

/** What the project's own scores and studies say of scatter: the ground on which a sample size stands. */
export async function readScatter(
  { database, project }: Stored,
  studies: Pick<StudyService, 'list' | 'outcome'>,
): Promise<Scatter> {
  const groups = new Map<string, Evaluation[]>();
  for (const evaluation of listEvaluations(database, project)) {
    const key = sameItems(evaluation);
    const group = groups.get(key) ?? [];
    groups.set(key, group);
    const isNew = !group.some(({ subject }) => subject === evaluation.subject);
    if (isNew && group.length < mostSubjects) group.push(evaluation);
  }
  const pairs = [...groups.values()]
    .flatMap((group) =>
      group.flatMap((first, i) => group.slice(i + 1).map((second) => [first, second] as const)),
    )
    .slice(0, mostPairs);
  const items: ItemScatter[] = [];
  for (const [first, second] of pairs) {
    const mine = await readEvaluationItems(database, first.id);
    const found = itemScatter(mine, await readEvaluationItems(database, second.id));
    const { benchmark } = first;
    if (found) items.push({ benchmark, first: first.subject, second: second.subject, ...found });
  }
  const seeds = studies.list().flatMap((study): SeedScatter[] =>
    studies.outcome(study.id).pairs.flatMap((pair) =>
      pair.deviation === null
        ? []
        : [
            {
              study: study.name,
              first: study.arms[pair.first]!.label,
              second: study.arms[pair.second]!.label,
              seeds: pair.n,
              difference: pair.difference,
              deviation: pair.deviation,
            },
          ],
    ),
  );
  return { items, seeds: seeds.slice(0, mostPairs) };
}
