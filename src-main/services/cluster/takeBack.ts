import { existsSync, mkdirSync, rmSync } from 'node:fs';
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
import { openAdapterFolder, writeAdapterFolder } from '../../formats/adapter/peftAdapter.ts';
import { checkpointName, trainedFolder } from '../../formats/checkpoint/checkpointFolder.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import { writeFileAtomic } from '../../formats/files/atomicFile.ts';
import { asFloat32 } from '../../formats/files/floats.ts';
import { readJsonObject } from '../../formats/files/jsonFile.ts';
import { identityOf } from '../../formats/model/identity.ts';
import { writeModelFolder } from '../../formats/model/modelFolder.ts';
import { WeightFolder } from '../../formats/model/weightFolder.ts';
import { methodOf } from '../../methods/registry.ts';
import { adapterSites, modulePath } from '../../shape/adapterSites.ts';
import { moduleSize } from '../../shape/modelShape.ts';
import { recentLossOf, writeMetrics } from '../../store/metrics.ts';
import { insertRun, removeRun, updateRun } from '../../store/runs.ts';
import type { ServiceContext } from '../context.ts';
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
 * Makes a run, with its curve and its state as a checkpoint, of what was trained elsewhere.
 * @param name of the run, which is free
 * @param model the base
 * @throws StudioError adapter_invalid for files that are not of that run; model_changed for another base
 */
export function takeBack(
  context: ServiceContext,
  { folder, handed, result }: ReturnedFolder,
  { name, model }: { name: string; model: Model },
): Run {
  if (identityOf(model).weights !== handed.base.sha256)
    throw new StudioError(
      'model_changed',
      `“${handed.name}” was trained on weights with SHA-256 ${handed.base.sha256.slice(0, 16)}…, and those of "${model.name}" have ${identityOf(model).weights.slice(0, 16)}….`,
      `Add the model ${handed.base.name} that it was handed over with, or name it with --model.`,
    );
  const curve = readCurve(join(folder, 'curve.jsonl'), result.step);
  const now = new Date().toISOString();
  const best = curve.evals.reduce<Run['best']>(
    (least, { step, loss }) => (loss < (least?.loss ?? Infinity) ? { step, loss } : least),
    null,
  );
  const planned: Run = {
    ...newRun({
      name,
      project: context.project,
      modelId: model.id,
      modelName: model.name,
      datasetId: handed.data.id,
      datasetName: handed.data.name,
      mix: handed.data.mix,
      config: handed.config,
    }),
    state: 'done',
    endReason: result.endReason,
    trainable: handed.trainable,
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
  // The record first: files without one would never be found again.
  insertRun(context.writable(), planned);
  try {
    writeCheckpointOf(context, planned, { folder, handed, result }, model);
    return record(context, planned, curve);
  } catch (error) {
    removeRun(context.writable(), planned.id);
    rmSync(context.paths.runFolder(planned.id), { recursive: true, force: true });
    throw error;
  }
}

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
  writeMetrics(context.writable(), run.id, {
    steps,
    evals,
    logs: [line(run.notes), ...skipped.map((step) => line(`step ${step} skipped`, 'warning'))],
  });
  const recentLoss = recentLossOf(context.writable(), run.id, recentSteps);
  const stored = updateRun(context.writable(), { ...run, recentLoss });
  context.emit({ type: 'run', run: stored });
  return stored;
}

/** The state that was kept, as a checkpoint of the studio without an optimizer. */
function writeCheckpointOf(
  context: ServiceContext,
  run: Run,
  { folder, handed, result }: ReturnedFolder,
  model: Model,
): void {
  const checkpoint = join(context.paths.runCheckpoints(run.id), checkpointName(result.keptStep));
  mkdirSync(checkpoint, { recursive: true });
  const { adapter } = run.config;
  const target = trainedFolder(checkpoint, adapter.method);
  if (adapter.method === 'full') copyModel(join(folder, 'model'), target, model);
  else copyAdapter(join(folder, 'adapter'), target, { handed, model });
  const state = { base: identityOf(model), step: result.keptStep, trainedElsewhere: true };
  writeFileAtomic(join(checkpoint, 'state.json'), `${JSON.stringify(state)}\n`);
}

/** Tensors of an adapter of these options on a model: shapes by name. */
function expectedTensors(model: Model, { config }: HandedRun): Map<string, readonly number[]> {
  const decoder = readDecoderConfig(model.folder);
  const method = methodOf(config.adapter)!;
  const expected = new Map<string, readonly number[]>();
  for (const { site, adapter } of adapterSites(decoder, config.adapter))
    for (const { suffix, shape } of method.parameters(moduleSize(decoder, site.module), adapter))
      expected.set(`${modulePath(site)}.${suffix}`, shape);
  for (const { suffix, shape } of method.sharedParameters(config.adapter))
    expected.set(`model.${suffix}`, shape);
  return expected;
}

function copyAdapter(from: string, to: string, { handed, model }: { handed: HandedRun; model: Model }): void {
  const adapter = openAdapterFolder(from);
  try {
    const expected = expectedTensors(model, handed);
    const foreign = [...adapter.keys.keys()].find((name) => !expected.has(name));
    if (foreign !== undefined) throw notOfRun(from, `has the tensor ${foreign}`);
    const tensors = [...expected].map(([name, shape]) => {
      const key = adapter.keys.get(name);
      const info = key === undefined ? undefined : adapter.tensors.tensors.get(key);
      if (info?.shape.join() !== shape.join())
        throw notOfRun(from, `has ${name} [${info?.shape.join() ?? 'missing'}] instead of [${shape.join()}]`);
      const isInteger = info.dtype === 'I32';
      if (!isInteger && !['F32', 'BF16', 'F16'].includes(info.dtype))
        throw notOfRun(from, `has ${name} as ${info.dtype}`);
      const data = () => {
        const bytes = adapter.tensors.read(key!);
        return isInteger ? bytes : new Uint8Array(Float32Array.from(asFloat32(bytes, info.dtype)).buffer);
      };
      return { name, dtype: isInteger ? ('I32' as const) : ('F32' as const), shape, data };
    });
    const { sha256 } = handed.base;
    const { loadIn8bit } = handed.config;
    writeAdapterFolder(to, handed.config.adapter, { name: model.folder, sha256, loadIn8bit }, tensors);
  } finally {
    adapter.tensors.close();
  }
}

/** The weights as f32 masters, as checkpoints of full fine-tuning hold them. */
function copyModel(from: string, to: string, model: Model): void {
  const [trained, base] = [new WeightFolder(from), new WeightFolder(model.folder)];
  try {
    const tensors = base.names.map((name) => {
      const shape = base.info(name)!.shape;
      const info = trained.info(name);
      if (info?.shape.join() !== shape.join())
        throw notOfRun(from, `has ${name} [${info?.shape.join() ?? 'missing'}] instead of [${shape.join()}]`);
      const data = () => new Uint8Array(Float32Array.from(asFloat32(trained.read(name), info.dtype)).buffer);
      return { name, dtype: 'F32' as const, shape, data };
    });
    writeModelFolder(to, { base: model.folder, tensors, dtype: 'F32', card: null });
  } finally {
    trained.close();
    base.close();
  }
}

function notOfRun(folder: string, what: string): StudioError {
  return new StudioError(
    'adapter_invalid',
    `${folder} is not what the run handed over would have trained: it ${what}.`,
    'Copy the folder once more from where it was trained.',
  );
}
