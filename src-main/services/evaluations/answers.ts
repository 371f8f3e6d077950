import { basename } from 'node:path';
import type { Answer } from '../../contract/entities.ts';
import { compareSubjects } from '../../evaluation/compare.ts';
import { standing } from '../../evaluation/standing.ts';
import { findProject } from '../../store/projects.ts';
import { evaluationItems, listEvaluations } from '../../store/results.ts';
import { findRun, trainableOf } from '../../store/runs.ts';
import type { ServiceContext } from '../context.ts';

/** What the open project's scores say about its question, from what is stored: nothing is run for it. */
export function readAnswer({ database, project }: ServiceContext): Answer {
  const goal = findProject(database, project) ?? { benchmark: null, maxTrainable: null };
  const evaluations = standing(listEvaluations(database, project), goal, (id) => trainableOf(database, id));
  const leader = evaluations.find(({ runId }) => runId !== null);
  const rival =
    evaluations.find((other) => other !== leader && other.runId !== null) ??
    evaluations.find((other) => other !== leader);
  if (!leader || !rival) return { evaluations, comparison: null };
  const graded = [rival, leader].map((evaluation) => ({
    name: evaluation.subject,
    seed: (evaluation.runId && findRun(database, project, evaluation.runId)?.config.seed) || 0,
    dataHash: evaluation.dataHash,
    items: evaluationItems(database, evaluation.id),
  }));
  const [comparison] = compareSubjects(leader.benchmark, basename(leader.dataPath), graded);
  return { evaluations, comparison: comparison! };
}
