import { createHash } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Model, Run } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { FoundAdapter } from '../../contract/imports/adapters.ts';
import type { ProcedureHandlers } from '../../contract/procedures.ts';
import { trainConfigSchema } from '../../contract/training.ts';
import { openAdapterFolder, type AdapterFolder } from '../../formats/adapter/peftAdapter.ts';
import { methodOf } from '../../methods/registry.ts';
import { fittingContext } from '../../options/lengths.ts';
import { ensureProject } from '../../store/projects.ts';
import { findRun, insertRun } from '../../store/runs.ts';
import { freeName, newId, type ServiceContext } from '../context.ts';
import { checkFreeSpace } from '../machine/disk.ts';
import type { HubService } from '../models/hub/hub.ts';
import { cacheOrigin } from '../models/findModelFolder.ts';
import type { ModelService } from '../models/models.ts';
import { withProgress } from '../progress.ts';
import { clearUnfinishedImports, importRun } from '../runs/importedRun.ts';
import { newRun } from '../runs/newRun.ts';
import type { RunService } from '../runs/runService.ts';
import { describeAdapter, findAdapterFolder, problemOf } from './adapterFolders.ts';
import { clearDownload, downloadSource, fetchAdapter } from './hubAdapter.ts';

export interface AdapterService {
  /** Runs of the open project that were trained elsewhere, newest first. */
  list(): Run[];
  inspect(folder: string): FoundAdapter;
  /**
   * Checks an adapter against its base, every tensor of it, and makes a run of it.
   * @param options.model absent: the one model of the library that fits and that the adapter names
   * @throws StudioError adapter_invalid, model_unsupported: what it is or holds cannot be read, or not on that base;
   * not_found, usage: which base is not clear; name_taken, disk_full
   */
  add(
    options: { folder: string; model?: string | undefined; name?: string | undefined },
    signal: AbortSignal,
  ): Promise<Run>;
  /** Downloads an adapter of the Hub. @returns its folder, from which it can be added */
  download(
    options: { repository: string; revision?: string | undefined },
    signal: AbortSignal,
  ): Promise<string>;
  /** Clears what a process left behind that died while it imported. */
  recover(): void;
}

export function createAdapterService(
  context: ServiceContext,
  hub: HubService,
  models: ModelService,
  runs: RunService,
): AdapterService {
  const { paths, database } = context;

  /** @throws StudioError where the model cannot be its base, or where none is given and it is not clear which */
  async function baseOf(
    adapter: AdapterFolder,
    asked: string | undefined,
    signal: AbortSignal,
  ): Promise<Model> {
    if (asked !== undefined) {
      const model = await models.getOrAdd(asked);
      const problem = problemOf(model, adapter);
      if (problem) throw problem;
      return model;
    }
    const { models: candidates } = describeAdapter(dirname(adapter.tensors.path), models.list());
    const fitting = candidates.filter(({ problem }) => problem === null);
    const named = fitting.filter(({ isNamed }) => isNamed);
    if (named.length === 1) return models.use(named[0]!.id, signal);
    const claim = adapter.baseName === null ? '' : `: it names ${adapter.baseName}`;
    if (fitting.length === 0)
      throw new StudioError(
        'not_found',
        `No model of the library can be the base of this adapter${claim}.`,
        candidates.find(({ isNamed }) => isNamed)?.problem?.message ??
          'Add the model that it was trained on, then add the adapter.',
      );
    const names = (named.length > 0 ? named : fitting).map(({ name }) => name);
    throw new StudioError(
      'usage',
      `Which model is the base of this adapter is not clear${claim}. By its shapes it can be ${names.join(' or ')}.`,
      'Say which it was trained on (--model); shapes alone do not prove it.',
    );
  }

  async function add(
    {
      folder: given,
      model: asked,
      name,
    }: { folder: string; model?: string | undefined; name?: string | undefined },
    signal: AbortSignal,
  ): Promise<Run> {
    const { project } = context;
    const folder = findAdapterFolder(given);
    const adapter = openAdapterFolder(folder);
    const { path } = adapter.tensors;
    try {
      if (name !== undefined) runs.refuseTakenName(project, name);
      const model = await baseOf(adapter, asked, signal);
      // 16-bit numbers become f32.
      checkFreeSpace(paths.home, 2 * statSync(path).size, 'The adapter');
      const id = newId();
      return await importRun(context, id, async () => {
        const adopted = await withProgress(
          context,
          `adapter ${given}`,
          'Reading the adapter',
          (report) =>
            context.engine.start(
              {
                kind: 'adopt',
                modelFolder: model.folder,
                weightsSha256: model.contentHash,
                adapterFolder: folder,
                checkpointFolder: paths.runCheckpoints(id),
              },
              {
                signal,
                onEvent: (event) => {
                  if (event.type === 'progress') report(event.label, event.done, event.total);
                },
              },
            ).result,
        );
        const source = downloadSource(context, folder) ?? hubSource(folder) ?? folder;
        const config = trainConfigSchema.parse({ adapter: adopted.adapter });
        const run: Run = {
          ...newRun({
            name: freeName(name ?? usualName(source), (wish) => findRun(database, project, wish) !== null),
            project,
            modelId: model.id,
            modelName: model.name,
            datasetId: null,
            datasetName: 'unknown data',
            mix: null,
            config: { ...config, context: fittingContext(config.context, model.contextLength) },
          }),
          id,
          state: 'done',
          trainable: adopted.trainable,
          frozenExtra: adopted.frozenExtra,
          totalSteps: 0,
          imported: {
            source,
            peftType: methodOf(adopted.adapter)!.peftType,
            baseName: adapter.baseName,
            sha256: await sha256Of(path),
            sameWeights: adopted.sameWeights,
          },
        };
        ensureProject(context.writable(), project);
        insertRun(context.writable(), run);
        clearDownload(context, folder);
        return run;
      });
    } finally {
      adapter.tensors.close();
    }
  }

  return {
    list: () => runs.list().filter(({ imported }) => imported !== null),
    inspect: (folder) => describeAdapter(findAdapterFolder(folder), models.list()),
    add(options, signal) {
      context.writable();
      return add(options, signal);
    },
    download: ({ repository, revision }, signal) =>
      fetchAdapter(context, hub, { repository, revision }, signal),
    recover: () => clearUnfinishedImports(context),
  };
}

/** As the Hugging Face cache says it. */
function hubSource(folder: string): string | null {
  const origin = cacheOrigin(folder);
  return origin && `hub/${origin.repository}@${origin.commit}`;
}

function usualName(source: string): string {
  return (
    basename(source.replace(/^(hub\/.*)@\w+$/, '$1'))
      .slice(0, 80)
      .trim() || 'adapter'
  );
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

/** What callers ask of them. */
export const adapterHandlers = (adapters: AdapterService) =>
  ({
    'adapters.list': () => adapters.list(),
    'adapters.inspect': ({ folder }) => adapters.inspect(folder),
    'adapters.add': (input, { signal }) => adapters.add(input, signal),
    'adapters.download': async (input, { signal }) => ({ folder: await adapters.download(input, signal) }),
  }) satisfies Partial<ProcedureHandlers>;
