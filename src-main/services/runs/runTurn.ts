import { cpus, totalmem } from 'node:os';
import type { Model, Run } from '../../contract/entities.ts';
import { StudioError, toPlainError } from '../../contract/errors.ts';
import type { TrainConfig } from '../../contract/training.ts';
import { renderingOf } from '../../data/rendering/tokenizeRow.ts';
import type { EngineEvent } from '../../engine/messages.ts';
import type { ProbeResult } from '../../engine/protocol.ts';
import type { EngineCard, EngineJob } from '../../engine/process/supervisor.ts';
import { possibleParts } from '../../options/deviceSizes.ts';
import { checkpointStep, trainedFolder } from '../../formats/checkpoint/checkpointFolder.ts';
import { endProgress, type ReportPart } from '../progress.ts';
import { checkBase, checkCheckpointSpace, latestCheckpoint } from './checkpoints.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import type { ServiceContext } from '../context.ts';
import type { DatasetService } from '../data/datasetService.ts';
import { createCardMeter } from '../machine/cardMeter.ts';
import { gpuOf } from '../machine/engineProbe.ts';
import { outlookOf } from './runForecast.ts';
import type { ModelService } from '../models/models.ts';
import { partsOf } from './runParts.ts';
import { createRunRecorder, endedBy, type Ending } from './runRecorder.ts';
import { mixLeaves } from '../mixes/mixTree.ts';
import { prepareTrainingData } from '../mixes/trainingData.ts';
import type { TrainingSource } from '../mixes/trainingSources.ts';
import { studioVersion } from '../machine/machine.ts';
import { askedPrompts } from '../tokenizer/tokenizedRows.ts';
import { withTokenizerThread } from '../tokenizer/tokenizerThread.ts';

/**
 * So long an engine may take to end what is thrown away anyway: one step of a large model takes minutes, and one that
 * hangs never ends.
 */
const discardPatienceMs = 2000;

/** A run that has its turn: it is prepared or trains. */
export interface RunTurn {
  runId: string;
  /**
   * Ends it after the current step; at once while it is still prepared, and within seconds where nothing is to be kept.
   */
  end(how: Ending): void;
  /** The run as it ended; rejects only where that could not be recorded. */
  ended: Promise<Run>;
}

export interface TurnParts {
  context: ServiceContext;
  models: ModelService;
  datasets: DatasetService;
  /** Writes the run's record and tells everybody; returns what was written. */
  save(run: Run): Run;
  /** Forgets what was recorded after the step from which the run goes on. */
  goBackTo(runId: string, step: number): void;
  /** Does later, once it can be done, what could not be written of a run. */
  writeLater(runId: string, write: () => void): void;
}

/**
 * Gives a run its turn: tokenizes its data, starts an engine that goes on from the latest checkpoint, and records what
 * that says.
 * @param watch sees the engine's events
 */
export function beginTurn(
  parts: TurnParts,
  initial: Run,
  watch: ((event: EngineEvent) => void) | undefined,
): RunTurn {
  const { context, models, save } = parts;
  const { paths } = context;
  const preparing = new AbortController();
  const killing = new AbortController();
  let asked: Ending | null = null;
  let job: EngineJob<'train'> | null = null;

  async function prepare(run: Run) {
    const { source } = partsOf(run, { context, models });
    refuseFormerRows(run, latestCheckpoint(context, run.id));
    const model = await models.use(run.modelId, preparing.signal);
    if (run.start) checkBase(run, model, paths.runStart(run.id));
    await checkCheckpointSpace(context, run, readDecoderConfig(model.folder));
    const report: ReportPart = (label, done = 0, total = null) =>
      context.emit({ type: 'progress', task: `run ${run.id}`, label, done, total });
    const data = await prepareTrainingData({
      model,
      node: source.node,
      datasetFolder: paths.datasets,
      config: run.config,
      cacheFolder: paths.cache,
      signal: preparing.signal,
      onRows: (done, total) => report('Tokenizing the data', done, total),
    });
    const samples = run.config.samples && (await askSamples(model, source, run.config, preparing.signal));
    report('Starting the engine');
    await unlessAborted(context.cards.found(), preparing.signal);
    const engine = await unlessAborted(context.probe.ask(), preparing.signal);
    return { model, data, samples, engine, gpu: await gpuOf(engine, context.probe.card()) };
  }

  async function take(): Promise<Run> {
    let run = save({
      ...initial,
      state: 'running',
      error: null,
      startedAt: initial.startedAt ?? new Date().toISOString(),
      endReason: null,
      endedAt: null,
    });
    try {
      const { model, data, samples, engine, gpu } = await prepare(run);
      const environment = environmentOf(engine, run);
      // The card that it gets: from here to the engine's start nothing else has a turn.
      const card = nextCardOf(context);
      const outlook = outlookOf(context, {
        model,
        config: run.config,
        data,
        gpu: card ?? gpu,
        begunWith: environment.parts,
      });
      run = save({ ...run, dataContract: data.contract, environment });
      const resumeFrom = latestCheckpoint(context, run.id);
      parts.goBackTo(run.id, resumeFrom ? checkpointStep(resumeFrom) : 0);
      const recorder = createRunRecorder(context, run, save, {
        watch,
        foresee: outlook.foresee,
        later: (write) => parts.writeLater(run.id, write),
      });
      if (resumeFrom === null && initial.startedAt !== null)
        recorder.onLog(`no checkpoint was kept: the run begins anew with the same seed (${run.config.seed})`);
      if (samples?.template)
        recorder.onLog(`sample prompts go through the template of the run: ${samples.template.name}`);
      job = context.engine.start(
        {
          kind: 'train',
          modelFolder: model.folder,
          weightsSha256: model.contentHash,
          trainFile: data.trainFile,
          heldOutFile: data.heldOutFile,
          config: { ...run.config, context: Math.min(run.config.context, model.contextLength) },
          checkpointFolder: paths.runCheckpoints(run.id),
          cacheFolder: paths.cache,
          resumeFrom,
          parts: outlook.parts,
          ...(run.environment?.products && { products: run.environment.products }),
          ...(run.start && { startFrom: trainedFolder(paths.runStart(run.id), run.config.adapter.method) }),
          ...(samples && { samplePrompts: samples }),
        },
        { onEvent: recorder.onEvent, onLog: recorder.onLog, signal: killing.signal },
      );
      if (card) recorder.placed(card, meterOf(context, card.id, job.pid));
      return await job.result.then(
        async (result) => recorder.finish(result, asked, await recorder.cardPeak()),
        (error: unknown) => {
          if (killing.signal.aborted) return recorder.abandon();
          // The engine ended with the studio, whose next start finds the run interrupted.
          if (toPlainError(error).code === 'cancelled') throw error;
          return recorder.fail(error);
        },
      );
    } catch (error) {
      if (job !== null) throw error;
      const endedAt = new Date().toISOString();
      if (asked === null) return save({ ...run, state: 'failed', error: toPlainError(error), endedAt });
      return save({ ...run, ...endedBy(asked), endedAt });
    } finally {
      endProgress(context, `run ${run.id}`);
    }
  }

  return {
    runId: initial.id,
    end(how) {
      asked = how;
      preparing.abort();
      job?.stop({ save: how !== 'discard' });
      if (job && how === 'discard') setTimeout(() => killing.abort(), discardPatienceMs).unref();
    },
    ended: take(),
  };
}

/** The card that a job would get now; null: jobs compute on the processor, or TensorFlow chooses. */
export function nextCardOf({ cards, engine }: Pick<ServiceContext, 'cards' | 'engine'>): EngineCard | null {
  const next = engine.nextCard();
  return cards.usable().find(({ id }) => id === next) ?? null;
}

/** Follows the memory of the card that a job has, and which nothing else of the studio should have. */
export function meterOf({ engine }: Pick<ServiceContext, 'engine'>, card: string, pid: number | undefined) {
  return createCardMeter({ card, pid, isAlone: () => engine.jobsOn(card).length <= 1 });
}

/**
 * Rows of a run from before there were mixes were split and ordered in another way: what its checkpoint has seen can
 * not be told from what it has not.
 */
function refuseFormerRows({ name, dataContract }: Run, checkpoint: string | null): void {
  if (checkpoint === null || dataContract === null || dataContract.hash !== null) return;
  throw new StudioError(
    'config_invalid',
    `The run "${name}" was begun by an earlier version of the studio, which split and ordered its rows in another way: it cannot go on.`,
    'Its checkpoints can be scored and exported; to train further, start a new run with its configuration.',
  );
}

/** The promise's value, or the signal's reason as soon as it is aborted. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason as Error);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

/** The run's sample prompts through its template. */
function askSamples(model: Model, source: TrainingSource, config: TrainConfig, signal: AbortSignal) {
  return withTokenizerThread(signal, (thread) =>
    askedPrompts(
      thread,
      model,
      config.samples!.prompts,
      renderingOf(mixLeaves(source.node)[0]!.dataset, config),
    ),
  );
}

function environmentOf(
  engine: ProbeResult,
  { environment }: Pick<Run, 'environment'>,
): NonNullable<Run['environment']> {
  const device = engine.devices.join(', ');
  // A run goes on as it began, where it goes on with the kind of device that it began on.
  const begun = environment?.device === device ? environment : null;
  const kind = engine.devices.includes('gpu') ? 'gpu' : 'cpu';
  return {
    studio: studioVersion,
    tensorflow: engine.tensorflow,
    node: process.versions.node,
    device,
    card: null,
    cores: cpus().length,
    memoryBytes: totalmem(),
    products: begun?.products ?? null,
    // Earlier versions knew one size for each kind of device, that of a base as it is stored.
    parts: begun && (begun.parts ?? possibleParts(kind)[0]),
    tf32: null,
  };
}
