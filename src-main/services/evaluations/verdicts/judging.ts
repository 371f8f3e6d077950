import { basename } from 'node:path';
import type { Run } from '../../../contract/entities.ts';
import type { ComparisonOutcome } from '../../../contract/evaluation/comparison.ts';
import type { Evaluation } from '../../../contract/results.ts';
import type { ComparisonOptions } from '../../../evaluation/compare.ts';
import type { Graded } from '../../../evaluation/gradedTable.ts';
import { regradeCounts, regraded } from '../../../statistics/overrides.ts';
import type { ReadableDatabase } from '../../../store/database.ts';
import { readEvaluationItems } from '../../../store/results.ts';
import type { ServiceContext } from '../../context.ts';
import { compareAllApart } from './judgeThread.ts';
import { currentOverrides } from './overrides.ts';

/** A stored evaluation as a subject of a comparison. */
export interface JudgedSubject {
  evaluation: Evaluation;
  name: string;
  /** What was trained; null: the base model, or an adapter from elsewhere. */
  run: Run | null;
}

/** A subject with its items as they were graded. */
export async function gradedOf(
  database: ReadableDatabase,
  { evaluation: { id, modelId, modelName, base, dataHash }, name, run }: JudgedSubject,
): Promise<Graded> {
  return {
    name,
    run,
    base: { modelId, name: modelName, hash: base },
    dataHash,
    items: await readEvaluationItems(database, id),
  };
}

/**
 * What stored evaluations say of each other by their stored grades, and, where a person gave other ones, with those.
 * @param subjects of one benchmark, at least two
 * @throws StudioError usage where they are not on the same items
 */
export async function judgeSubjects(
  { database }: Pick<ServiceContext, 'database'>,
  subjects: readonly JudgedSubject[],
  options: Omit<ComparisonOptions, 'chosenOf'>,
): Promise<ComparisonOutcome> {
  const evaluations = subjects.map(({ evaluation }) => evaluation);
  const { benchmark, dataPath } = evaluations[0]!;
  const data = basename(dataPath);
  const graded: Graded[] = [];
  for (const subject of subjects) graded.push(await gradedOf(database, subject));
  let [changed, blind] = [0, 0];
  const anew = graded.map((subject, i) => {
    const said = currentOverrides(database, evaluations[i]!.id, subject.items);
    const counts = regradeCounts(subject.items, said);
    changed += counts.changed;
    blind += counts.blind;
    return { ...subject, items: regraded(subject.items, said) };
  });
  return {
    evaluations,
    ...(await compareAllApart(benchmark, data, graded, options)),
    overridden:
      changed === 0 ? null : { ...(await compareAllApart(benchmark, data, anew, options)), changed, blind },
  };
}
