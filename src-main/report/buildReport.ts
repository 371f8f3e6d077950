import { seedsOf } from '../evaluation/confounders.ts';
import type { Run } from '../contract/entities.ts';
import type { Evaluation, EvaluationItem } from '../contract/results.ts';
import { methods, type Method } from '../contract/training.ts';
import type { Comparison } from '../contract/evaluation/comparison.ts';
import { measureGiven, type MeasuredArms } from '../evaluation/compare.ts';
import type { Graded } from '../evaluation/gradedTable.ts';
import { armsOf, type Arm } from '../evaluation/overSeeds.ts';
import { passAtK } from '../evaluation/graders/humanEval.ts';
import { rank } from '../evaluation/ranking.ts';
import { judgeTogether } from '../evaluation/verdict.ts';
import { leakWarning } from '../statistics/scores.ts';
import { subjectKey, type ScoredColumn } from './columns.ts';
import { costsOf, timedColumn } from './costs.ts';
import {
  columnNotes,
  leftOutText,
  seedNotes,
  storedScore,
  subjectNameOf,
  type ReportSource,
} from './source.ts';
import type { Report, ReportCell, ReportColumn, ReportGroup, ReportPair, ReportSubject } from './report.ts';

export const methodLabels: Readonly<Record<Method, string>> = {
  full: 'Full fine-tuning',
  lora: 'LoRA',
  dora: 'DoRA',
  hydralora: 'HydraLoRA',
  moelora: 'MoELoRA',
  idlora: 'ID-LoRA',
};

/** A column of the table: what was asked, and which of its numbers it shows. */
interface Measured {
  column: ReportColumn;
  scored: ScoredColumn;
  itemsOf(evaluation: Evaluation): readonly EvaluationItem[];
}

/** Who was scored, whatever on. */
interface Member {
  key: string;
  name: string;
  run: Run | null;
  evaluation: Evaluation;
}

/** Puts a report together from stored scores: every figure is found here, and nothing is run. */
export async function buildReport(source: ReportSource): Promise<Report> {
  const columns = source.columns.flatMap((scored) => measuresOf(source, scored));
  const warnings = new Set<string>();
  const problems: string[] = [];
  const groups: ReportGroup[] = [];
  for (const modelId of modelsOf(source))
    groups.push(await groupOf(source, modelId, columns, (line) => void problems.push(line)));
  for (const { evaluations } of source.columns)
    for (const evaluation of evaluations) for (const line of leakWarning(evaluation)) warnings.add(line);
  const timed = timedColumn(source.columns);
  const environments = [...source.runs.values()].flatMap(({ environment }) => environment ?? []);
  return {
    title: source.title,
    question: source.question,
    createdAt: source.createdAt,
    versions: {
      studio: source.studio,
      computation: source.computation,
      tensorflow: distinct(environments.map(({ tensorflow }) => tensorflow)),
      node: distinct(environments.map(({ node }) => node)),
      devices: distinct(environments.map(({ device, cores }) => `${device}, ${cores} cores`)),
    },
    columns: columns.map(({ column }) => column),
    timedColumn: timed === null ? null : columns.findIndex(({ scored }) => scored === source.columns[timed]),
    groups,
    scores: source.columns.flatMap(({ evaluations }) =>
      evaluations.map((evaluation) => storedScore(source, evaluation)),
    ),
    notes: [...seedNotes(groups), ...columnNotes(columns.map(({ column }) => column)), ...source.notes],
    warnings: [...warnings],
    leftOut: [...problems, ...source.leftOut.map((evaluation) => leftOutText(source, evaluation))],
  };
}

/** A column as it is, and of programs one for each k with so many answers. */
function measuresOf(source: ReportSource, scored: ScoredColumn): Measured[] {
  const [first] = scored.evaluations;
  const { benchmark, metric, version, dataPath, dataHash, n, shots, prompts, seed } = first!;
  const isLoss = metric === 'perplexity';
  const several = scored.evaluations.every(({ passAtK: found }) => found !== null);
  const stored = (evaluation: Evaluation) => source.items.get(evaluation.id) ?? [];
  const as = (measure: string, itemsOf: Measured['itemsOf']): Measured => ({
    column: {
      key: `${scored.key} ${measure}`,
      benchmark,
      label: source.benchmarkLabel(benchmark),
      measure,
      unit: isLoss ? 'nats' : 'percent',
      version,
      data: dataPath.split(/[/\\]/).at(-1)!,
      dataHash,
      n,
      shots,
      isChat: prompts?.chat ?? false,
      seed,
    },
    scored,
    itemsOf,
  });
  const ks = several
    ? first!
        .passAtK!.map(({ k }) => k)
        .filter((k) =>
          scored.evaluations.every((one) =>
            one.passAtK!.some((found) => found.k === k && found.score !== null),
          ),
        )
    : [];
  const base = as(isLoss ? 'loss' : several ? 'pass@1' : 'score', stored);
  return [
    base,
    ...ks
      .filter((k) => k > 1)
      .map((k) => as(`pass@${k}`, (evaluation) => stored(evaluation).map((item) => atK(item, k)))),
  ];
}

/** An item of programs graded by the estimate that one of k answers passes. */
function atK(item: EvaluationItem, k: number): EvaluationItem {
  const { share, outputs } = item;
  if (share === null || outputs === null) return item;
  return { ...item, share: passAtK(outputs.length, Math.round(share * outputs.length), k) };
}

function modelsOf({ columns }: ReportSource): string[] {
  return distinct(columns.flatMap(({ evaluations }) => evaluations.map(({ modelId }) => modelId)));
}

async function groupOf(
  source: ReportSource,
  modelId: string,
  columns: readonly Measured[],
  problem: (line: string) => void,
): Promise<ReportGroup> {
  const members = membersOf(source, modelId);
  const arms = armsOf(members.map((member) => gradedOf(member, member.evaluation, [])));
  const found: (MeasuredArms | null)[] = [];
  for (const measured of columns) {
    const own = measured.scored.evaluations.filter((evaluation) => evaluation.modelId === modelId);
    found.push(own.length === 0 ? null : await measureColumn(measured, own, members, arms, problem));
  }
  // Everything that is asked at once is corrected together.
  const judged = judgeTogether(found.flatMap((one) => one?.pairs ?? []));
  let next = 0;
  const parts = found.map((one) => {
    if (!one) return null;
    const comparisons = judged.slice(next, (next += one.pairs.length));
    return { ...one, comparisons, ranking: rank(one.about, one.rows, comparisons) };
  });
  const baseline = baselineOf(source, members, arms);
  const modelParameters = source.modelParameters(modelId);
  const timed = source.columns[timedColumn(source.columns) ?? -1]?.evaluations ?? [];
  const subjects = arms.map((arm): ReportSubject => {
    const own = arm.members.map((place) => members[place]!);
    const { run, evaluation } = own[0]!;
    const trainable = run?.trainable ?? null;
    return {
      name: arm.name,
      method: run?.config.adapter.method ?? null,
      label: run
        ? methodLabels[run.config.adapter.method]
        : evaluation.subject === 'base'
          ? 'Base'
          : 'Adapter',
      rank: run?.config.adapter.rank ?? null,
      trainable,
      percent: trainable === null || modelParameters === null ? null : (100 * trainable) / modelParameters,
      frozenExtra: run?.frozenExtra ?? null,
      seeds: own.flatMap((member) => seedsOf(member.run)),
      runs: own.flatMap(({ run: one }) =>
        one && !one.imported
          ? [{ name: one.name, seed: one.config.seed, steps: one.step, data: one.datasetName }]
          : [],
      ),
      cells: parts.map((part) => (part ? cellOf(part, arm.name, baseline) : null)),
      cost: costsOf(
        own.flatMap(({ run: one }) => one ?? []),
        timed.filter((one) => own.some(({ key }) => key === subjectKey(one))),
        timed.find((one) => one.modelId === modelId && isBase(one)) ?? null,
      ),
    };
  });
  return {
    model: members[0]?.evaluation.modelName ?? modelId,
    modelParameters,
    baseline,
    subjects: subjects.sort((a, b) => placeOf(a) - placeOf(b) || (a.trainable ?? 0) - (b.trainable ?? 0)),
    sentences: parts.map((part) => (part && part.comparisons.length > 0 ? part.ranking.sentence : null)),
    pairs: parts.flatMap((part, column) => (part ? part.comparisons.map((one) => pairOf(one, column)) : [])),
    family: judged.length,
  };
}

/** As in the paper's table: the base first, then the methods, adapters from elsewhere last. */
function placeOf({ method, label }: ReportSubject): number {
  return method === null ? (label === 'Base' ? -1 : methods.length) : methods.indexOf(method);
}

const isBase = ({ runId, subject }: Evaluation) => runId === null && subject === 'base';

/** Everybody who was scored on a model, each once. */
function membersOf(source: ReportSource, modelId: string): Member[] {
  const members = new Map<string, Member>();
  for (const { evaluations } of source.columns)
    for (const evaluation of evaluations) {
      const key = subjectKey(evaluation);
      if (evaluation.modelId !== modelId || members.has(key)) continue;
      const run = evaluation.runId === null ? null : (source.runs.get(evaluation.runId) ?? null);
      members.set(key, { key, name: subjectNameOf(source, evaluation), run, evaluation });
    }
  return [...members.values()];
}

function gradedOf(
  { name, run }: Pick<Member, 'name' | 'run'>,
  { modelId, modelName, base, dataHash }: Evaluation,
  items: readonly EvaluationItem[],
): Graded {
  return { name, run, base: { modelId, name: modelName, hash: base }, dataHash, items };
}

/** A column of one model; null where it cannot be compared, which is said. */
async function measureColumn(
  { column, itemsOf }: Measured,
  own: readonly Evaluation[],
  members: readonly Member[],
  arms: readonly Arm[],
  problem: (line: string) => void,
): Promise<MeasuredArms | null> {
  const places = own.map((evaluation) => members.findIndex(({ key }) => key === subjectKey(evaluation)));
  const subjects = own.map((evaluation, i) =>
    gradedOf(members[places[i]!]!, evaluation, itemsOf(evaluation)),
  );
  const present = arms
    .map(({ name, members: all }) => ({
      name,
      members: all.flatMap((place) => (places.includes(place) ? [places.indexOf(place)] : [])),
    }))
    .filter((arm) => arm.members.length > 0);
  try {
    return await measureGiven(column.benchmark, column.data, subjects, present);
  } catch (error) {
    problem(`${column.label} on ${column.data}: ${error instanceof Error ? error.message : String(error)}`);
    return null;
  }
}

/** Who is compared with: the one that is named, else the LoRA setting with the most scores, else the base model. */
function baselineOf(source: ReportSource, members: readonly Member[], arms: readonly Arm[]): string | null {
  const named = arms.find(
    ({ name, members: own }) =>
      name === source.against || own.some((place) => members[place]!.name === source.against),
  );
  if (named) return named.name;
  const scores = ({ members: own }: Arm) =>
    source.columns.filter(({ evaluations }) =>
      evaluations.some((one) => own.some((place) => members[place]!.key === subjectKey(one))),
    ).length;
  const lora = arms
    .filter(({ members: own }) => members[own[0]!]!.run?.config.adapter.method === 'lora')
    .sort((a, b) => scores(b) - scores(a));
  const base = arms.find(({ members: own }) => isBase(members[own[0]!]!.evaluation));
  return arms.length < 2 ? null : ((lora[0] ?? base)?.name ?? null);
}

type JudgedPart = MeasuredArms & { comparisons: Comparison[]; ranking: ReturnType<typeof rank> };

function cellOf(
  { ranking, comparisons }: JudgedPart,
  name: string,
  baseline: string | null,
): ReportCell | null {
  const ranked = ranking.subjects.find((subject) => subject.name === name);
  if (!ranked) return null;
  const { score, interval, n, ungraded, seeds, letters, isAmongBest } = ranked;
  const pair = comparisons.find(
    ({ a, b }) => (a === name && b === baseline) || (b === name && a === baseline),
  );
  const isBetter = pair && pair.verdict === (pair.a === name ? 'a_better' : 'b_better');
  return {
    value: score,
    interval,
    n,
    ungraded,
    seeds,
    letters: comparisons.length === 0 ? [] : letters,
    isAmongBest: comparisons.length > 0 && isAmongBest,
    against: pair
      ? {
          mark: pair.verdict === 'cannot_tell' ? 'none' : isBetter ? 'better' : 'worse',
          pAdjusted: pair.pAdjusted,
          test: pair.test,
        }
      : null,
  };
}

function pairOf(comparison: Comparison, column: number): ReportPair {
  const { a, b, difference, interval, test, pValue, pAdjusted, verdict, n, sentence, outlook, confounders } =
    comparison;
  return {
    column,
    a,
    b,
    difference,
    interval,
    test,
    pValue,
    pAdjusted,
    verdict,
    n,
    sentence,
    outlook,
    confounders,
  };
}

function distinct(values: readonly string[]): string[] {
  return [...new Set(values)];
}
