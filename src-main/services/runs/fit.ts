import {
  deviceMemory,
  forecastTraining,
  trainingFit,
  type Forecast,
  type PlannedTraining,
} from '../../budget/forecast/calibrate.ts';
import { negotiate } from '../../budget/forecast/negotiate.ts';
import { rowLayoutOf, widestLayouts } from '../../budget/forecast/rowLayout.ts';
import type { Calibration, RowLayout, RowLengths, WorkParts } from '../../contract/forecast.ts';
import type { Model } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { TrainConfig } from '../../contract/training.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import type { ServiceContext } from '../context.ts';
import type { DatasetService } from '../data/datasetService.ts';
import { countRowLengths } from '../data/rowLengths.ts';
import { findTrainingGpu } from '../machine/engineProbe.ts';
import { rowsOfSource, type TrainingSource } from '../mixes/trainingSources.ts';
import { readCalibration } from './runForecast.ts';

/** A training that somebody wants to start. */
export interface WantedTraining {
  /** What it is called in messages. */
  name: string;
  model: Model;
  source: TrainingSource;
  config: TrainConfig;
  /** A run that goes on, which cannot change what decides its memory. */
  isGoingOn?: boolean;
  /** Into what parts its work was cut when it began; absent or null: that is still to be decided. */
  begunWith?: WorkParts | null;
}

interface FitParts {
  context: ServiceContext;
  datasets: Pick<DatasetService, 'read'>;
}

/**
 * Asks before what does not fit is started: refuses trainings whose forecast needs more memory than this machine has,
 * with the changes that would make the first of them fit.
 * @throws StudioError does_not_fit
 */
export async function refuseWhatDoesNotFit(
  parts: FitParts,
  wanted: readonly WantedTraining[],
): Promise<void> {
  const gpu = await findTrainingGpu(parts.context.probe);
  const calibration = readCalibration(parts.context, gpu);
  // Rows are at most as long as the context: what fits with those needs no tokenizer.
  const doubtful = wanted.filter((one) =>
    widestLayouts(one.config, one.model.contextLength).some(
      (layout) => !fits(one, plannedOf(one, layout), calibration),
    ),
  );
  const counted = new Map<string, RowLengths>();
  for (const one of doubtful) {
    const { model, source } = one;
    const { template, templateSource, system, trainOn } = one.config;
    const key = JSON.stringify([model.id, source.id, template, templateSource, system, trainOn]);
    const lengths =
      counted.get(key) ??
      (await countRowLengths(
        model,
        rowsOfSource(parts.datasets, source, one.config),
        new AbortController().signal,
      ));
    counted.set(key, lengths);
    const planned = plannedOf(one, rowLayoutOf(one.config, model.contextLength, lengths));
    if (!fits(one, planned, calibration)) throw refusal(one, planned, calibration, lengths);
  }
}

/** The steps of a run change none of its memory. */
function plannedOf({ model, config }: WantedTraining, layout: RowLayout): PlannedTraining {
  return {
    modelId: model.id,
    shape: readDecoderConfig(model.folder),
    config,
    ...layout,
    steps: 0,
    heldOutRows: 0,
  };
}

function fits({ begunWith }: WantedTraining, planned: PlannedTraining, calibration: Calibration): boolean {
  return trainingFit(forecastTraining(planned, calibration, begunWith), calibration) !== 'too_large';
}

function refusal(
  { name, isGoingOn = false, begunWith }: WantedTraining,
  planned: PlannedTraining,
  calibration: Calibration,
  lengths: RowLengths,
): StudioError {
  const memoryBytes = deviceMemory(calibration);
  const { memory } = forecastTraining(planned, calibration, begunWith);
  const [best] = negotiate(planned, calibration, { memoryBytes, seconds: null }, lengths);
  const device = calibration.gpu ? `the GPU (${calibration.gpu.name})` : 'this machine';
  const help = best?.isEnough
    ? `${isGoingOn ? 'A new run of this configuration' : 'It'} fits with: ${best.label.replace(/^Together: /, '')} (${gigabytes(best.forecast.memory.correctedBytes)}).`
    : 'No changes make it fit: choose a smaller model.';
  return new StudioError(
    'does_not_fit',
    `"${name}" needs about ${gigabytes(memory.correctedBytes)} of memory, and ${device} has ${gigabytes(memoryBytes)}${calibration.gpu ? ' for it' : ''}${hostWords(memory, calibration)}.`,
    help,
  );
}

function hostWords({ hostBytes }: Forecast['memory'], { memoryBytes }: Calibration): string {
  return hostBytes !== null && hostBytes > memoryBytes
    ? `; its process needs ${gigabytes(hostBytes)} beside it, of ${gigabytes(memoryBytes)}`
    : '';
}

function gigabytes(bytes: number): string {
  return `${Number((bytes / 1e9).toPrecision(3)).toLocaleString('en-US')} GB`;
}
