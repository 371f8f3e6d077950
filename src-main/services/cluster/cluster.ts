import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { HandOver } from '../../contract/cluster.ts';
import type { Model, Run } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { ProcedureHandlers } from '../../contract/procedures.ts';
import type { TrainConfig } from '../../contract/training.ts';
import { findRun } from '../../store/runs.ts';
import type { ServiceContext } from '../context.ts';
import type { DatasetService } from '../data/datasetService.ts';
import { typedPath } from '../homePaths.ts';
import { sourceOfRun, trainingSourceOrFile, type TrainingSource } from '../mixes/trainingSources.ts';
import type { ModelService } from '../models/models.ts';
import { withProgress } from '../progress.ts';
import { plannedRun } from '../runs/newRun.ts';
import { refuseImported } from '../runs/runParts.ts';
import type { RunService } from '../runs/runService.ts';
import { writeHandOver } from './handOver.ts';
import { openReturned, takeBack, type ReturnedFolder } from './takeBack.ts';

/** What is to be trained elsewhere: a run, from its first step, or what would be one. */
export interface HandOverRequest {
  run?: string | undefined;
  training?: { name: string; model: string; dataset: string; config: TrainConfig } | undefined;
  folder?: string | undefined;
}

export interface ClusterService {
  /**
   * Writes a folder with which PyTorch trains a run elsewhere.
   * @throws StudioError usage where neither or both of run and training are named; as starting a run does; name_taken,
   * not_found or disk_full for a folder that cannot be written
   */
  handOver(request: HandOverRequest, signal: AbortSignal): Promise<HandOver>;
  /**
   * Makes a run of what was trained elsewhere.
   * @throws StudioError not_found, adapter_invalid, model_changed, name_taken
   */
  takeBack(
    request: { folder: string; name?: string | undefined; model?: string | undefined },
    signal: AbortSignal,
  ): Promise<Run>;
}

export function createClusterService(
  context: ServiceContext,
  services: { models: ModelService; datasets: DatasetService; runs: RunService },
): ClusterService {
  const { models, datasets, runs } = services;

  const wanted = async ({
    run: reference,
    training,
  }: HandOverRequest): Promise<{ run: Run; source: TrainingSource }> => {
    if ((reference === undefined) === (training === undefined))
      throw new StudioError(
        'usage',
        'What is to be handed over is either a run or a training.',
        'Name one of the two.',
      );
    if (reference !== undefined) {
      const run = runs.get(reference);
      refuseOtherStart(run);
      return { run, source: sourceOfRun(context, run) };
    }
    const { name, model: modelReference, dataset, config } = training!;
    const model = await models.getOrAdd(modelReference);
    const source = await trainingSourceOrFile(context, datasets, dataset);
    return { run: plannedRun({ name, project: context.project, model, source, config }), source };
  };

  /** The model of the library with the weights that a run was handed over with. */
  const baseOf = ({ handed: { base } }: ReturnedFolder): Model => {
    const found = models.list().find(({ contentHash }) => contentHash === base.sha256);
    if (found) return found;
    throw new StudioError(
      'not_found',
      `No model of the library has the weights that the run was handed over with (${base.name}, SHA-256 ${base.sha256.slice(0, 16)}…).`,
      'Add that model first, then take the result in.',
    );
  };

  const freeName = (name: string): string => {
    for (let number = 1; ; number++) {
      const tried = number === 1 ? name : `${name}-${number}`;
      if (!findRun(context.database, context.project, tried)) return tried;
    }
  };

  return {
    async handOver(request, signal) {
      const { run, source } = await wanted(request);
      const model = await models.use(run.modelId, signal);
      const folder = request.folder === undefined ? freeFolder(context, run) : typedPath(request.folder);
      return withProgress(context, `export ${run.name}`, 'Preparing', (report) =>
        writeHandOver(context, { run, model, source, folder }, { signal, report }),
      );
    },
    async takeBack({ folder, name, model: reference }, signal) {
      context.writable();
      const returned = openReturned(typedPath(folder));
      if (name !== undefined) runs.refuseTakenName(context.project, name);
      const { id } = reference === undefined ? baseOf(returned) : await models.getOrAdd(reference);
      const model = await models.use(id, signal);
      return takeBack(context, returned, { name: name ?? freeName(returned.handed.name), model }, signal);
    },
  };
}

/**
 * A hand-over begins with a fresh adapter on the base; a run that began elsewhere would be another one.
 * @throws StudioError config_invalid
 */
function refuseOtherStart(run: Run): void {
  refuseImported(run);
  const from = run.start
    ? `with the adapter of the run "${run.start.runName}"`
    : run.parent
      ? `at step ${run.parent.step} of another run`
      : null;
  if (from === null) return;
  throw new StudioError(
    'config_invalid',
    `The run "${run.name}" began ${from}: what is handed over begins with a fresh adapter, and would be another run.`,
    'Hand over the run that it began with, or train this one here.',
  );
}

/** Named by the run, and numbered where something lies there. */
function freeFolder({ paths }: ServiceContext, run: Run): string {
  const name = `${run.name.replace(/[^\w. -]/g, '_').replace(/^[. ]+/, '_') || 'run'}-cluster`;
  for (let number = 1; ; number++) {
    const folder = join(paths.exports, number === 1 ? name : `${name}-${number}`);
    if (!existsSync(folder)) return folder;
  }
}

/** What callers ask of it. */
export const clusterHandlers = (cluster: ClusterService) =>
  ({
    'cluster.handOver': (input, { signal }) => cluster.handOver(input, signal),
    'cluster.takeBack': (input, { signal }) => cluster.takeBack(input, signal),
  }) satisfies Partial<ProcedureHandlers>;
