import type { ComparedTogether, Ranked } from '../../../../src-main/contract/evaluation/comparison.ts';
import type { Run } from '../../../../src-main/contract/entities.ts';
import type { Evaluation, EvaluationItem } from '../../../../src-main/contract/results.ts';
import type { ItemPair } from '../../../charts/scores/scorePoints.ts';
import type { ItemRow } from '../items/itemRows.ts';
import type { ScorePoint, TrainedPoint } from '../../../charts/scores/scorePoints.ts';

/** A ranked subject with what it is: runs of one setting, or a model or adapter that was not trained here. */
export interface ComparedSubject {
  ranked: Ranked;
  evaluations: Evaluation[];
  /** Of its first score; undefined: the base model, or an adapter from elsewhere. */
  run: Run | undefined;
}

/** The subjects of a comparison in the order of their scores. */
export function comparedSubjects(
  { ranking }: ComparedTogether,
  evaluations: readonly Evaluation[],
  runOf: (id: string) => Run | undefined,
): ComparedSubject[] {
  return ranking.subjects.map((ranked) => {
    const own = ranked.members.flatMap((place) => evaluations[place] ?? []);
    return { ranked, evaluations: own, run: runOf(own[0]?.runId ?? '') };
  });
}

/** What a score is multiplied by, and how it is told: percent, or nats per token. */
export function scoreUnit(metric: ComparedTogether['ranking']['metric']) {
  const isLoss = metric === 'mean_loss';
  const digits = isLoss ? 3 : 1;
  return {
    isLoss,
    factor: isLoss ? 1 : 100,
    name: isLoss ? 'Mean loss, nats per token' : 'Score, %',
    text: (value: number) => value.toFixed(digits),
    /** Of a difference: with its sign. */
    signed: (value: number) => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(digits)}`,
  };
}

/** What a chart of scores over parameters shows, and whom it has no place for. */
export function scorePoints(
  subjects: readonly ComparedSubject[],
  metric: ComparedTogether['ranking']['metric'],
): { points: TrainedPoint[]; across: ScorePoint[]; without: string[] } {
  const { factor } = scoreUnit(metric);
  const points: TrainedPoint[] = [];
  const across: ScorePoint[] = [];
  const without: string[] = [];
  for (const { ranked, run, evaluations } of subjects) {
    const { name, score, interval } = ranked;
    if (score === null) {
      without.push(name);
      continue;
    }
    const [low, high] = [factor * interval[0], factor * interval[1]];
    const point = { name, score: factor * score, low, high };
    if (run && run.trainable !== null && run.trainable > 0)
      points.push({ ...point, method: run.config.adapter.method, trainable: run.trainable });
    else if (evaluations[0]?.runId === null && evaluations[0].subject === 'base') across.push(point);
    else without.push(name);
  }
  return { points, across, without };
}

/** Places on a scale that holds all intervals, in percent of its width: [low, score, high]. */
export function intervalBars(subjects: readonly ComparedSubject[]): ([number, number, number] | null)[] {
  const bounds = subjects.flatMap(({ ranked: { score, interval } }) => (score === null ? [] : interval));
  const least = bounds.reduce((a, b) => Math.min(a, b), Infinity);
  const most = bounds.reduce((a, b) => Math.max(a, b), -Infinity);
  const width = most > least ? most - least : 1;
  const place = (value: number) => (100 * (value - least)) / width;
  return subjects.map(({ ranked: { score, interval } }) =>
    score === null ? null : [place(interval[0]), place(score), place(interval[1])],
  );
}

/** Runs whose curves and configurations can be set side by side, each once. */
export function comparedRuns(
  evaluations: readonly Evaluation[],
  runOf: (id: string) => Run | undefined,
): Run[] {
  const ids = [...new Set(evaluations.flatMap(({ runId }) => runId ?? []))];
  return ids.flatMap((id) => runOf(id) ?? []);
}

/** Items of two subjects that both were graded on, in the unit, and who is better on how many. */
export function itemPairs(
  rows: readonly Pick<ItemRow, 'id' | 'cells'>[],
  { isLoss, factor }: Pick<ReturnType<typeof scoreUnit>, 'isLoss' | 'factor'>,
): { pairs: ItemPair[]; firstBetter: number; secondBetter: number; alike: number } {
  const valueOf = (cell: EvaluationItem | null | undefined): number | null => {
    if (!cell || cell.state !== 'graded') return null;
    return isLoss ? cell.loss : (cell.share ?? (cell.correct === null ? null : Number(cell.correct)));
  };
  const pairs = rows.flatMap(({ id, cells }): ItemPair[] => {
    const [first, second] = [valueOf(cells[0]), valueOf(cells[1])];
    return first === null || second === null ? [] : [{ id, first: factor * first, second: factor * second }];
  });
  const sign = isLoss ? -1 : 1;
  const better = (of: (pair: ItemPair) => number) => pairs.filter((pair) => sign * of(pair) > 0).length;
  const firstBetter = better(({ first, second }) => first - second);
  const secondBetter = better(({ first, second }) => second - first);
  return { pairs, firstBetter, secondBetter, alike: pairs.length - firstBetter - secondBetter };
}
