import type { Evaluation } from '../../contract/entities.ts';
import type { ItemScatter, Scatter, SeedScatter } from '../../contract/scatter.ts';
import { itemScatter } from '../../evaluation/scatter.ts';
import { sameItems } from '../../evaluation/standing.ts';
import { evaluationItems, listEvaluations } from '../../store/results.ts';
import type { ServiceContext } from '../context.ts';
import type { StudyService } from '../plan/studies.ts';

/** So many pairs are told of, the newest: a person chooses among them. */
const mostPairs = 12;
/** Of one group of scores, so many subjects are paired with each other. */
const mostSubjects = 4;

/**
 * What the project's own scores and studies say of scatter: the ground on which a sample size stands. Nothing is run
 * for it.
 */
export function readScatter(
  { database, project }: Pick<ServiceContext, 'database' | 'project'>,
  studies: Pick<StudyService, 'list' | 'outcome'>,
): Scatter {
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
  const items = pairs.flatMap(([first, second]): ItemScatter[] => {
    const [mine, theirs] = [first, second].map(({ id }) => evaluationItems(database, id));
    const found = itemScatter(mine!, theirs!);
    const { benchmark } = first;
    return found ? [{ benchmark, first: first.subject, second: second.subject, ...found }] : [];
  });
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
