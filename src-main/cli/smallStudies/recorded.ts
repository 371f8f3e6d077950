import { cpus } from 'node:os';
import type { Run } from '../../contract/entities.ts';
import type { Comparison } from '../../contract/evaluation/comparison.ts';
import type { Core } from '../../core/createCore.ts';
import { judgeBenchmarks } from '../../evaluation/compare.ts';
import type { StudyColumn, StudyRecord, StudyRecordArm, StudyVerdict } from '../../report/studyRecord.ts';
import { starterScoring, starterTasks } from '../../services/projects/starter.ts';
import { studioVersion } from '../../services/machine/machine.ts';
import { compareOverSeeds, mean, meanInterval } from '../../statistics/seeds.ts';
import type { CommandContext } from '../commandContext.ts';
import type { Output } from '../output.ts';
import { outcomeText } from '../studyText.ts';
import type { Material } from './made.ts';
import type { SettingKey, SettledArm } from './settings.ts';
import type { SmallStudy } from './studies.ts';

export type TrainedArm = { arm: SettledArm; runs: Run[] };
/** What one column says: values of each setting, and the verdicts on the pairs. */
interface Measured {
  column: StudyColumn;
  cells: StudyRecordArm['cells'][number][];
  verdicts: StudyVerdict[];
}

/** Scores what was trained and judges the pairs that the study is about; what is scored already is used again. */
export async function recordOf(
  core: Core,
  {
    study,
    material,
    arms,
    limit,
  }: { study: SmallStudy; material: Material; arms: TrainedArm[]; limit: number },
  command: CommandContext,
  output: Output,
): Promise<StudyRecord> {
  const measured = [lossOf(study, arms)];
  for (const name of study.tasks) {
    // What runs programs that a model wrote is scored where somebody agreed to it.
    const task = starterTasks.find((one) => one.name === name)!;
    output.progress(`${task.label}: scoring ${arms.length} settings ...`);
    measured.push(await scoresOf(core, { study, arms, task: name, limit }, command));
  }
  const seeds = arms[0]!.runs.map(({ config }) => config.seed);
  const { config } = arms[0]!.runs[0]!;
  const rows = `${config.batch} ${config.packing ? 'packed rows' : 'rows'} of ${config.packing ? '' : 'at most '}${config.context} tokens`;
  return {
    ...aboutOf(study, material),
    settings: `${config.maxSteps} steps of ${rows}, learning rate ${config.learningRate}${config.precision === 'f32' ? '' : `, ${config.precision}`}`,
    seeds,
    basis:
      seeds.length === 1
        ? 'one seed: of the loss there is no interval'
        : `${seeds.length} seeds, mean and 95 % interval`,
    columns: measured.map(({ column }) => column),
    arms: arms.map(({ arm }, i) => ({
      label: arm.label,
      method: arm.adapter.method,
      trainable: arm.trainable,
      cells: measured.map(({ cells }) => cells[i]!),
    })),
    verdicts: measured.flatMap(({ verdicts }) => verdicts),
  };
}

export function aboutOf(study: SmallStudy, { model, mix }: Material) {
  return {
    study: study.name,
    title: study.title,
    question: study.question,
    model: model.name,
    data: mix.name,
    createdAt: new Date().toISOString(),
    studio: studioVersion,
    device: cpus()[0]?.model ?? 'unknown processor',
  };
}

const placeOf = (arms: readonly TrainedArm[], key: SettingKey) =>
  arms.findIndex(({ arm }) => arm.key === key);

/** Seed by seed, by Student's test, with Holm's correction over the study's pairs. */
function lossOf({ claims }: SmallStudy, arms: TrainedArm[]): Measured {
  const column = { key: 'loss', label: 'Held-out loss, nats', unit: 'nats' } as const;
  const scores = arms.flatMap(({ runs }, arm) =>
    runs.map(({ config, lastHeldOutLoss }) => ({ arm, seed: config.seed, value: lastHeldOutLoss! })),
  );
  const pairs = claims.map(({ first, second }) => [placeOf(arms, first), placeOf(arms, second)] as const);
  const outcome = compareOverSeeds(arms.length, scores, pairs);
  return {
    column,
    cells: arms.map(({ runs }) => cellOf(runs.map(({ lastHeldOutLoss }) => lastHeldOutLoss!))),
    verdicts: outcome.pairs.map((pair, i) => ({
      column: column.key,
      first: arms[pair.first]!.arm.label,
      second: arms[pair.second]!.arm.label,
      paper: claims[i]!.paper,
      found:
        pair.verdict === 'cannot_tell' ? pair.verdict : pair.verdict === 'first_better' ? 'first' : 'second',
      // Corrected over all of them, told one by one.
      sentence: outcomeText({ arms: arms.map(({ arm }) => arm) }, { pairs: [pair] }).replace(
        /(, p = [^ .]+(?:\.\d+)?)\.$/,
        claims.length > 1 ? '$1 (Holm).' : '$1.',
      ),
    })),
  };
}

export function cellOf(values: number[]): NonNullable<StudyRecordArm['cells'][number]> {
  const middle = mean(values);
  return { values, mean: middle, interval: meanInterval(values) ?? [middle, middle] };
}

/** Over seeds and items, as `compare` does it, corrected over the study's pairs. */
async function scoresOf(
  core: Core,
  { study, arms, task: name, limit }: { study: SmallStudy; arms: TrainedArm[]; task: string; limit: number },
  { signal }: CommandContext,
): Promise<Measured> {
  const task = starterTasks.find((one) => one.name === name)!;
  const asked = starterScoring(task, limit);
  const values: number[][] = [];
  for (const { runs } of arms) {
    const own: number[] = [];
    for (const { id, modelId, config } of runs) {
      const subject = { model: modelId, adapter: id, precision: config.precision };
      own.push((await core.evaluations.start({ ...asked, ...subject }, signal)).score);
    }
    values.push(own);
  }
  const outcomes = [];
  for (const { first, second } of study.claims) {
    const runs = [first, second].flatMap((key) => arms[placeOf(arms, key)]!.runs.map(({ id }) => id));
    outcomes.push(await core.evaluations.compare({ ...asked, runs }, signal));
  }
  const judged = judgeBenchmarks(outcomes).map(({ arms: overSeeds, ...single }) => overSeeds ?? single);
  // Subjects stand best first: their scores tell whose they are, and those of the first setting come first.
  const intervals = new Map(
    judged.flatMap(({ ranking }, i) =>
      ranking.subjects.map(({ members, interval }) => {
        const { first, second } = study.claims[i]!;
        return [members[0]! < arms[placeOf(arms, first)]!.runs.length ? first : second, interval] as const;
      }),
    ),
  );
  return {
    column: { key: name, label: `${task.label}, % right of ${limit}`, unit: 'percent' },
    cells: arms.map(({ arm }, i) => {
      const cell = cellOf(values[i]!);
      return { ...cell, interval: intervals.get(arm.key) ?? cell.interval };
    }),
    verdicts: judged.map(({ comparisons: [comparison] }, i) => verdictOf(comparison!, study, arms, i, name)),
  };
}

function verdictOf(
  { verdict, sentence }: Comparison,
  { claims }: SmallStudy,
  arms: TrainedArm[],
  i: number,
  column: string,
): StudyVerdict {
  const { first, second, paper } = claims[i]!;
  const labelOf = (key: SettingKey) => arms[placeOf(arms, key)]!.arm.label;
  return {
    column,
    first: labelOf(first),
    second: labelOf(second),
    paper,
    found: verdict === 'cannot_tell' ? verdict : verdict === 'a_better' ? 'first' : 'second',
    sentence,
  };
}
