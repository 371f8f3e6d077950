import type { StudyForecast } from '../budget/studies/forecast.ts';
import type { Run } from '../contract/entities.ts';
import type { Study, StudyArm, StudyOutcome } from '../contract/studies.ts';
import type { PlannedStudy } from '../services/plan/studies.ts';
import { formatBytes, formatCount, formatTable } from './output.ts';

const fitWords = { fits: 'fits', tight: 'tight', too_large: 'does not fit' } as const;

/** A plan with what it takes, as text. */
export function planText({ plan, notes }: PlannedStudy, forecast: StudyForecast): string {
  const seeds = plan.runs.length / plan.arms.length;
  const { seconds, peakBytes, fit, checkpointBytes } = forecast;
  return [
    formatTable(
      ['setting', 'trainable', 'left over', 'paper', 'steps', 'memory', 'one run'],
      plan.arms.map(({ label, trainable, remainder, published }, i) => {
        const { steps, leastSteps, forecast: own } = forecast.arms[i]!;
        const range = leastSteps === steps ? '' : `${formatCount(leastSteps!)} to `;
        return [
          ...[label, formatCount(trainable), remainder === null ? '–' : formatCount(remainder)],
          published === null ? '–' : `${published} %`,
          steps === null ? '–' : `${range}${formatCount(steps)}`,
          formatBytes(Math.round(own.memory.correctedBytes)),
          steps === null ? '–' : roughTime(own.time.seconds),
        ];
      }),
    ),
    ...plan.impossible.map(({ label, reason }) => `${label} cannot take part: ${reason}`),
    `${plan.runs.length} runs (${plan.arms.length} settings x ${seeds} seeds): ${
      seconds === null ? 'time not known' : `about ${roughTime(seconds)} in all`
    }, at most ${formatBytes(Math.round(peakBytes))} of memory (${fitWords[fit]}), ${formatBytes(checkpointBytes)} of checkpoints on the disk.`,
    ...notes,
  ].join('\n');
}

/** A study's runs as they stand. */
export function studyText(study: Study, runs: readonly (Run | undefined)[]): string {
  return [
    `Study "${study.name}": ${study.modelName} on ${study.datasetName}`,
    formatTable(
      ['run', 'state', 'step', 'recent loss', 'held-out loss'],
      study.runs.map(({ arm, seed }, i) => {
        const run = runs[i];
        return [
          run?.name ?? `${study.arms[arm]!.label} s${seed}`,
          run?.state ?? 'removed',
          run ? `${run.step}` : '–',
          run?.recentLoss?.toFixed(4) ?? '–',
          run?.lastHeldOutLoss?.toFixed(4) ?? '–',
        ];
      }),
    ),
    ...study.notes,
  ].join('\n');
}

/** What the held-out losses say, pair by pair. */
export function outcomeText(
  { arms }: { arms: readonly Pick<StudyArm, 'label'>[] },
  { pairs }: Pick<StudyOutcome, 'pairs'>,
): string {
  if (pairs.length === 0) return 'No two settings have a held-out loss of the same seed yet.';
  return pairs
    .map(({ first, second, n, difference, interval, pAdjusted, verdict }) => {
      const [a, b] = [arms[first]!.label, arms[second]!.label];
      const range = interval ? ` (95 % interval ${interval[0].toFixed(4)} to ${interval[1].toFixed(4)})` : '';
      const found =
        verdict === 'cannot_tell' ? 'cannot tell' : `${verdict === 'first_better' ? a : b} is better`;
      const chance =
        pAdjusted === null
          ? 'one seed: says nothing about chance'
          : `${n} seeds: ${found}, p = ${pAdjusted.toPrecision(2)}${pairs.length > 1 ? ' (Holm)' : ''}`;
      return `${a} against ${b}: held-out loss ${difference.toFixed(4)} nats${range}, ${chance}.`;
    })
    .join('\n');
}

function roughTime(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`;
}
