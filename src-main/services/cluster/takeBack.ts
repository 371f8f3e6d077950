import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  clusterResultSchema,
  handedRunSchema,
  type ClusterResult,
  type HandedRun,
} from '../../contract/cluster.ts';
import { recentSteps, type Model, type Run } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { EvalMetric, StepMetric } from '../../contract/runRecords.ts';
import { quantizationOf } from '../../contract/training.ts';
import type { EngineEvent } from '../../engine/messages.ts';
import { readJsonObject } from '../../formats/files/jsonFile.ts';
import { identityOf } from '../../formats/model/identity.ts';
import { recentLossOf, writeMetrics } from '../../store/metrics.ts';
import { ensureProject } from '../../store/projects.ts';
import { insertRun, updateRun } from '../../store/runs.ts';
import type { ServiceContext } from '../context.ts';
import { folderSize } from '../exports/exportFolder.ts';
import { checkFreeSpace } from '../machine/disk.ts';
import { withProgress } from '../progress.ts';
import { importRun } from '../runs/importedRun.ts';
import { newRun } from '../runs/newRun.ts';
import { readCurve } from './curveFile.ts';

const mostDocumentBytes = 20 * 1024 * 1024;

/** What came back: a folder with run.json, result.json, curve.jsonl and the adapter or the model. */
export interface ReturnedFolder {
  folder: string;
  handed: HandedRun;
  result: ClusterResult;
}

/**
 * Reads what was trained elsewhere. @param folder the result, or the folder that was handed over with it
 * @throws StudioError not_found, adapter_invalid
 */
export function openReturned(folder: string): ReturnedFolder {
  const place = [folder, join(folder, 'result')].find((each) => existsSync(join(each, 'result.json')));
  if (place === undefined)
    throw new StudioError(
      'not_found',
      `${folder} holds no result of a run that was trained elsewhere: there is no result.json.`,
      'Name the folder “result” that train.py writes when it is done, or the one that was handed over with it.',
    );
  const read = <T>(
    name: string,
    schema: { safeParse(value: unknown): { data?: T; error?: { message: string } } },
  ) => {
    const parsed = schema.safeParse(readJsonObject(join(place, name), mostDocumentBytes, 'adapter_invalid'));
    if (parsed.data !== undefined) return parsed.data;
    throw new StudioError(
      'adapter_invalid',
      `${join(place, name)} is not what train.py writes: ${parsed.error?.message.slice(0, 300)}`,
      'Copy the folder once more from where it was trained.',
    );
  };
  const handed = read('run.json', handedRunSchema);
  const result = read('result.json', clusterResultSchema);
  if (result.run !== handed.id || result.step > handed.totalSteps || result.keptStep > result.step)
    throw new StudioError(
      'adapter_invalid',
      `result.json and run.json in ${place} do not belong together.`,
      'Copy the folder once more from where it was trained.',
    );
  return { folder: place, handed, result };
}

/**
 * Makes a run, with its curve and its state as a checkpoint, of what was trained elsewhere: all of it, or nothing.
 * @param name of the run, which is free
 * @param model the base
 * @throws StudioError adapter_invalid for files that are not of that run; model_changed for another base; cancelled
 */
export async function takeBack(
  context: ServiceContext,
  { folder, handed, result }: ReturnedFolder,
  { name, model }: { name: string; model: Model },
  signal: AbortSignal,
): Promise<Run> {
  if (identityOf(model).weights !== handed.base.sha256)
    throw new StudioError(
      'model_changed',
      `“${handed.name}” was trained on weights with SHA-256 ${handed.base.sha256.slice(0, 16)}…, and those of "${model.name}" have ${identityOf(model).weights.slice(0, 16)}….`,
      `Add the model ${handed.base.name} that it was handed over with, or name it with --model.`,
    );
  const { project } = context;
  const curve = readCurve(join(folder, 'curve.jsonl'), result.step);
  const now = new Date().toISOString();
  const best = curve.evals.reduce<Run['best']>(
    (least, { step, loss }) => (loss < (least?.loss ?? Infinity) ? { step, loss } : least),
    null,
  );
  const planned: Run = {
    ...newRun({
      name,
      project,
      modelId: model.id,
      modelName: model.name,
      datasetId: handed.data.id,
      datasetName: handed.data.name,
      mix: handed.data.mix,
      config: handed.config,
    }),
    state: result.endReason === 'stop_requested' ? 'stopped' : 'done',
    trainedElsewhere: true,
    endReason: result.endReason,
    frozenExtra: handed.frozenExtra,
    step: result.step,
    totalSteps: handed.totalSteps,
    lastLoss: curve.steps.at(-1)?.loss ?? null,
    lastHeldOutLoss: curve.evals.at(-1)?.loss ?? null,
    best,
    skippedSteps: curve.skipped.length,
    dataContract: handed.data.contract,
    notes: `Trained elsewhere by PyTorch ${result.torch}, ${result.processes} ${result.processes === 1 ? 'process' : 'processes'} (${result.device}).`,
    startedAt: now,
    endedAt: now,
  };
  return importRun(context, planned.id, async () => {
    const { trainable } = await adoptState(context, planned, { folder, handed, result }, { model, signal });
    return record(context, { ...planned, trainable }, curve);
  });
}

/** Writes the state that was kept as a checkpoint of the run, checked number by number in a process of its own. */
function adoptState(
  { paths, engine, ...context }: ServiceContext,
  { id, config }: Run,
  { folder, handed, result }: ReturnedFolder,
  { model, signal }: { model: Model; signal: AbortSignal },
): Promise<{ trainable: number }> {
  const isFull = config.adapter.method === 'full';
  const trained = join(folder, isFull ? 'model' : 'adapter');
  // Weights become f32 masters, whatever type they were saved in; 16-bit adapters, too.
  checkFreeSpace(paths.home, isFull ? 4 * model.parameters : 2 * folderSize(trained), 'The run');
  const place = {
    modelFolder: model.folder,
    weightsSha256: model.contentHash,
    checkpointFolder: paths.runCheckpoints(id),
  };
  const step = result.keptStep;
  const { adapter } = handed.config;
  const quantization = quantizationOf(handed.config);
  return withProgress(context, `import ${folder}`, 'Reading what was trained', async (report) => {
    const onEvent = (event: EngineEvent) => {
      if (event.type === 'progress') report(event.label, event.done, event.total);
    };
    return isFull
      ? engine.start({ kind: 'adoptModel', ...place, trainedFolder: trained, step }, { signal, onEvent })
          .result
      : engine.start(
          { kind: 'adopt', ...place, adapterFolder: trained, handed: { step, adapter, quantization } },
          { signal, onEvent },
        ).result;
  });
}

/** The run and its curve, both or neither. */
function record(
  context: ServiceContext,
  run: Run,
  { steps, evals, skipped }: { steps: StepMetric[]; evals: EvalMetric[]; skipped: number[] },
): Run {
  const line = (text: string, level: 'info' | 'warning' = 'info') => ({
    time: new Date().toISOString(),
    level,
    line: text,
  });
  const database = context.writable();
  return database.writable.transaction(() => {
    ensureProject(database, run.project);
    insertRun(database, run);
    writeMetrics(database, run.id, {
      steps,
      evals,
      logs: [line(run.notes), ...skipped.map((step) => line(`step ${step} skipped`, 'warning'))],
    });
    return updateRun(database, { ...run, recentLoss: recentLossOf(database, run.id, recentSteps) });
  })();
}
