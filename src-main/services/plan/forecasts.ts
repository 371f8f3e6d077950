import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { checkTraining } from '../../options/checkAdapter.ts';
import { fittingContext } from '../../options/lengths.ts';
import type { Model } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { Calibration, ForecastRecord, RowLengths } from '../../contract/forecast.ts';
import type { ProcedureHandlers } from '../../contract/procedures.ts';
import type { TrainConfig } from '../../contract/training.ts';
import type { RenderingOptions } from '../../data/rendering/tokenizeRow.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import { readingOf, templateOf } from '../../formats/model/identity.ts';
import { insertProbe } from '../../store/results.ts';
import { newId, type ServiceContext } from '../context.ts';
import type { DatasetService } from '../data/datasetService.ts';
import { countRowLengths } from '../data/rowLengths.ts';
import { findTrainingGpu } from '../machine/engineProbe.ts';
import { prepareTrainingData } from '../mixes/trainingData.ts';
import { mixLeaves } from '../mixes/mixTree.ts';
import { rowsOfSource, trainingSource } from '../mixes/trainingSources.ts';
import type { ModelService } from '../models/models.ts';
import { withProgress, type ReportPart } from '../progress.ts';
import { refuseWhatDoesNotFit } from '../runs/fit.ts';
import { machineKey, outlookOf, readCalibration } from '../runs/runForecast.ts';
import { startMeter } from '../runs/runMeter.ts';
import { meterOf, nextCardOf } from '../runs/runTurn.ts';

export interface ForecastService {
  /** What this machine is, and what was measured on it. */
  calibration(): Promise<Calibration>;
  /** @param rendering of the run; absent: as usual */
  lengths(
    model: string,
    dataset: string,
    signal: AbortSignal,
    rendering?: RenderingOptions,
  ): Promise<RowLengths>;
  /**
   * Takes a few steps of a training that is recorded nowhere else, and measures them; progress of the task `probe`.
   * @param given.force also where it does not fit into memory
   * @throws StudioError config_invalid, busy, does_not_fit
   */
  probe(
    given: { model: string; dataset: string; config: TrainConfig; steps: number; force?: boolean },
    signal: AbortSignal,
  ): Promise<ForecastRecord>;
}

export function createForecastService(
  context: ServiceContext,
  models: ModelService,
  datasets: DatasetService,
): ForecastService {
  const { paths } = context;
  /** By what the model reads, and the dataset. */
  const counted = new Map<string, RowLengths>();
  let isProbing = false;

  return {
    calibration: async () => readCalibration(context, await findTrainingGpu(context.probe)),

    async lengths(modelReference, datasetReference, signal, rendering) {
      const [model, source] = [
        await models.use(modelReference, signal),
        trainingSource(context, datasetReference),
      ];
      const rows = mixLeaves(source.node).map(({ dataset, split }) => `${dataset.contentHash} ${split}`);
      const through = rendering && renderingKey(rendering);
      const key = JSON.stringify([readingOf(model), templateOf(model), rows, through]);
      const known = counted.get(key);
      if (known) return known;
      const lengths = await unlessCancelled(
        countRowLengths(model, rowsOfSource(datasets, source, rendering), signal),
        signal,
      );
      counted.set(key, lengths);
      return lengths;
    },

    async probe({ model: modelReference, dataset: datasetReference, config, steps, force = false }, signal) {
      const [model, source] = [
        await models.use(modelReference, signal),
        trainingSource(context, datasetReference),
      ];
      checkTraining(readDecoderConfig(model.folder), config);
      fittingContext(config.context, model.contextLength);
      if (isProbing)
        throw new StudioError('busy', 'Another probe is under way.', 'Wait for its end, or cancel it.');
      isProbing = true;
      const folder = join(paths.cache, 'probes', newId());
      const preparing = 'Preparing the data';
      const measure = async (report: ReportPart): Promise<ForecastRecord> => {
        if (!force)
          await refuseWhatDoesNotFit({ context, datasets }, [
            { name: 'The measurement', model, source, config },
          ]);
        const data = await unlessCancelled(
          prepareTrainingData({
            model,
            node: source.node,
            datasetFolder: paths.datasets,
            config,
            cacheFolder: paths.cache,
            signal,
            onRows: (done, total) => report(preparing, done, total),
          }),
          signal,
        );
        const gpu = await findTrainingGpu(context.probe);
        report('Starting the engine');
        await context.cards.found();
        // The card that it gets: nothing else has a turn until then.
        const card = nextCardOf(context);
        const { parts, foresee } = outlookOf(context, { model, config, data, gpu: card ?? gpu });
        const forecast = foresee(steps);
        const meter = startMeter();
        const job = context.engine.start(
          {
            kind: 'train',
            modelFolder: model.folder,
            weightsSha256: model.contentHash,
            trainFile: data.trainFile,
            heldOutFile: data.heldOutFile,
            config: probeConfig(config, model, steps),
            checkpointFolder: folder,
            cacheFolder: paths.cache,
            resumeFrom: null,
            parts,
          },
          {
            signal,
            onEvent(event) {
              meter.see(event);
              if (event.type === 'step') cardMeter?.look();
              if (event.type === 'progress') report(event.label, event.done, event.total);
              if (event.type !== 'step' && event.type !== 'skipped') return;
              report('Taking steps', Math.min(event.step, steps), steps);
              if (event.step >= steps) job.stop({ save: false });
            },
          },
        );
        const cardMeter = card && meterOf(context, card.id, job.pid);
        const { peakMemoryBytes } = await job.result;
        const record: ForecastRecord = {
          runId: null,
          name: 'probe',
          modelId: model.id,
          device: gpu ? 'gpu' : 'cpu',
          card: card?.name ?? gpu?.name ?? null,
          config,
          forecast,
          measured: meter.read(peakMemoryBytes, cardMeter && (await cardMeter.read())),
          createdAt: new Date().toISOString(),
        };
        insertProbe(context.writable(), machineKey(), record);
        return record;
      };
      try {
        return await withProgress(context, 'probe', preparing, measure);
      } finally {
        isProbing = false;
        rmSync(folder, { recursive: true, force: true });
      }
    },
  };
}

/**
 * The same step, without what surrounds it: the schedule, evaluations, checkpoints and samples change no step's cost.
 */
function probeConfig(config: TrainConfig, model: Model, steps: number): TrainConfig {
  return {
    ...config,
    context: Math.min(config.context, model.contextLength),
    // The stop comes before: what is left of the steps is never taken.
    maxSteps: steps + 1000,
    schedule: 'constant',
    warmupSteps: 0,
    evalEvery: 0,
    checkpointEvery: 0,
    earlyStoppingPatience: null,
    keepBest: false,
    samples: null,
  };
}

/** Names how rows become text, whatever else the options hold. */
function renderingKey({ template, templateSource, system, trainOn }: RenderingOptions) {
  return [template, templateSource, system, trainOn];
}

/** The work, or the one error for what was cancelled. */
async function unlessCancelled<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (signal.aborted) throw new StudioError('cancelled', 'The job was cancelled.', 'Start it again.');
    throw error;
  }
}

/** What callers ask of them. */
export const forecastHandlers = (forecasts: ForecastService) =>
  ({
    'plan.calibration': () => forecasts.calibration(),
    'plan.lengths': ({ model, dataset, rendering }, { signal }) =>
      forecasts.lengths(model, dataset, signal, rendering),
    'plan.probe': (input, { signal }) => forecasts.probe(input, signal),
  }) satisfies Partial<ProcedureHandlers>;
