import type { Calibration, RowLengths } from '../../contract/forecast.ts';
import {
  forecastTraining,
  trainingFit,
  worstFit,
  type FitVerdict,
  type Forecast,
} from '../forecast/calibrate.ts';
import { rowLayoutOf } from '../forecast/rowLayout.ts';
import { checkpointDisk } from '../forecast/disk.ts';
import type { ModelShape } from '../../shape/modelShape.ts';
import { heldOutCount, passKey, stepCount } from '../../options/lengths.ts';
import type { StudyPlan } from './plan.ts';

/** What one run of a setting takes. */
export interface ArmForecast {
  forecast: Forecast;
  fit: FitVerdict;
  /** Of the longest of its runs, and of the shortest: seeds pack and mix otherwise. Null: not counted yet. */
  steps: number | null;
  leastSteps: number | null;
  checkpointBytes: number;
}

export interface StudyForecast {
  /** By setting, in the plan's order. */
  arms: ArmForecast[];
  /** All runs, one after another; null where the steps of one are not known. Evaluations afterwards are not in it. */
  seconds: number | null;
  /** Of the run that needs most. */
  peakBytes: number;
  fit: FitVerdict;
  /** Of all runs, as if each had its most at the same time. */
  checkpointBytes: number;
}

/** What a study is planned on. */
export interface StudyPlace {
  modelId: string;
  shape: ModelShape;
  contextLength: number;
  /** One pass over the data, and the lengths of their rows where they were counted. */
  rows: number;
  /** Rows of these that are held out; absent: by the share of each setting. */
  heldOutRows?: number | undefined;
  lengths: (Pick<RowLengths, 'longest'> & Partial<RowLengths>) | null;
  /** Steps that were counted, by `passKey`: those over mixes and packed rows. */
  counted?: Readonly<Record<string, { steps: number }>> | undefined;
}

export function forecastStudy(plan: StudyPlan, place: StudyPlace, calibration: Calibration): StudyForecast {
  const { modelId, shape, contextLength, rows, lengths, counted } = place;
  const arms = plan.arms.map(({ config }, i): ArmForecast => {
    const heldOut = place.heldOutRows ?? heldOutCount(rows, config.heldOutFraction);
    const ofRuns = plan.runs
      .filter(({ arm }) => arm === i)
      .map((run) => counted?.[passKey(run.config)]?.steps ?? stepCount(run.config, rows - heldOut));
    const known = ofRuns.filter((count) => count !== null);
    const isKnown = known.length === ofRuns.length;
    const steps = isKnown ? known.reduce((most, count) => Math.max(most, count), 0) : null;
    const leastSteps = isKnown ? known.reduce((least, count) => Math.min(least, count), Infinity) : null;
    const forecast = forecastTraining(
      {
        modelId,
        shape,
        config,
        steps: steps ?? 0,
        ...rowLayoutOf(config, contextLength, lengths),
        heldOutRows: Math.min(heldOut, config.heldOutRows),
      },
      calibration,
    );
    const fit = trainingFit(forecast, calibration);
    return { forecast, fit, steps, leastSteps, checkpointBytes: checkpointDisk(shape, config).bytes };
  });
  const seeds = plan.runs.length / arms.length;
  const total = (of: (arm: ArmForecast) => number) => seeds * arms.reduce((sum, arm) => sum + of(arm), 0);
  return {
    arms,
    seconds: arms.some(({ steps }) => steps === null) ? null : total(({ forecast }) => forecast.time.seconds),
    peakBytes: arms.reduce((most, { forecast }) => Math.max(most, forecast.memory.correctedBytes), 0),
    fit: worstFit(arms.map(({ fit }) => fit)),
    checkpointBytes: total(({ checkpointBytes }) => checkpointBytes),
  };
}
