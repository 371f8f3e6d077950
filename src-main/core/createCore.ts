import { existsSync } from 'node:fs';
import type { Dataset } from '../contract/entities.ts';
import type { ProcedureHandlers } from '../contract/procedures.ts';
import { StudioError } from '../contract/errors.ts';
import { createEngineHost, type EngineHost } from '../engine/process/supervisor.ts';
import type { ServiceContext } from '../services/context.ts';
import { createDatasetService, type DatasetService } from '../services/data/datasets.ts';
import { clearUploads, receiveDataset, type Upload } from '../services/data/datasetUpload.ts';
import { createDownloadService, type DownloadService } from '../services/models/downloads/downloads.ts';
import { examine } from '../services/machine/doctor.ts';
import { createEvaluationService, type EvaluationService } from '../services/evaluations/evaluations.ts';
import { createEventHub, type EventHub } from '../services/eventHub.ts';
import { createExportService, type ExportService } from '../services/exports/exports.ts';
import { createGenerationService, type GenerationService } from '../services/evaluations/generation.ts';
import { createHubService, type HubService } from '../services/models/hub/hub.ts';
import { createForecastService, type ForecastService } from '../services/plan/forecasts.ts';
import { homePaths } from '../services/homePaths.ts';
import { readLoad } from '../services/machine/machine.ts';
import { createModelService, type ModelService } from '../services/models/models.ts';
import { createProjectService, type ProjectService } from '../services/projects/projects.ts';
import { repairRuntime } from '../services/machine/repair.ts';
import { createRunService, type RunService } from '../services/runs/runs.ts';
import { cleanCache, readStorage } from '../services/machine/storage.ts';
import { addStarter } from '../services/projects/starter.ts';
import { readAnswer, readScatter } from '../services/evaluations/storedScores.ts';
import { createStudyService, type StudyService } from '../services/plan/studies.ts';
import { createTrash, type Trash } from '../services/trash.ts';
import { studioVersion } from '../services/machine/version.ts';
import {
  needsUpgrade,
  openReadable,
  openWritable,
  type ReadableDatabase,
  type WritableDatabase,
} from '../store/database.ts';
import { lockHome } from '../store/homeLock.ts';
import { ensureProject, findProject, lastOpenedProject } from '../store/projects.ts';
import { createBrowserServer, type BrowserServer } from './browserAccess.ts';

/** The studio without a face: services over one data folder. */
export interface Core {
  home: string;
  /** Name of the project that is open now. */
  readonly project: string;
  events: EventHub;
  models: ModelService;
  hub: HubService;
  downloads: DownloadService;
  datasets: DatasetService;
  runs: RunService;
  evaluations: EvaluationService;
  exports: ExportService;
  generation: GenerationService;
  projects: ProjectService;
  /** Takes in a dataset whose bytes come from a browser. */
  receiveDataset(upload: Upload): Promise<Dataset>;
  trash: Trash;
  forecasts: ForecastService;
  studies: StudyService;
  browsers: BrowserServer;
  /** What callers reach through a host. */
  handlers: ProcedureHandlers;
  /** Kills running engines and gives the data folder back. */
  close(): void;
}

/**
 * Composes the core.
 * @param options.project name or title, made where there is none; null: the one that was opened last, else `default`
 * @param options.mode `write`: the one owner of the data folder; `read`: beside an owner
 * @throws StudioError home_locked, store_from_future
 */
export function createCore(options: {
  home: string;
  project: string | null;
  mode: 'write' | 'read';
  engine?: EngineHost;
}): Core {
  const { home, mode } = options;
  const paths = homePaths(home);
  const engine = options.engine ?? createEngineHost();
  const events = createEventHub();
  const opened = open(paths.database, mode, home);
  const { database } = opened;
  let project =
    options.project === null
      ? (lastOpenedProject(database) ?? 'default')
      : (findProject(database, options.project)?.name ?? options.project);
  const context: ServiceContext = {
    paths,
    get project() {
      return project;
    },
    database,
    writable: opened.writable,
    engine,
    trash: createTrash({ database, writable: opened.writable }),
    emit: events.emit,
  };
  if (mode === 'write') ensureProject(context.writable(), project);
  const models = createModelService(context);
  const hub = createHubService(context);
  const downloads = createDownloadService(context, hub, models);
  const datasets = createDatasetService(context);
  const runs = createRunService(context, models, datasets);
  const evaluations = createEvaluationService(context, models, datasets, runs);
  const studies = createStudyService(context, models, datasets, runs);
  const forecasts = createForecastService(context, models, datasets);
  const exports = createExportService(context, models, runs);
  const generation = createGenerationService(context, models, runs);
  const projects = createProjectService(context, (name) => (project = name));
  const browsers = createBrowserServer(() => core);
  if (mode === 'write') {
    context.trash.empty();
    runs.recover();
    models.recover();
    datasets.recover();
    downloads.recover();
    clearUploads(context);
  }

  const handlers: ProcedureHandlers = {
    'studio.info': async () => ({ version: studioVersion, home, project }),
    'studio.doctor': () => examine(home, engine),
    'studio.repair': async (_input, { signal }) => {
      await repairRuntime(events.emit, signal);
      return examine(home, engine);
    },
    'studio.storage': () => readStorage(context),
    'studio.cleanCache': () => cleanCache(context),
    'studio.load': () => readLoad(),
    'studio.addStarter': () => addStarter(paths, models, datasets),
    'projects.list': async () => projects.list(),
    'projects.create': async ({ title }) => projects.create(title),
    'projects.update': async ({ project: reference, ...changes }) => projects.update(reference, changes),
    'projects.open': async ({ project: reference }) => projects.open(reference),
    'projects.answer': () => readAnswer(context),
    'models.list': async () => models.list(),
    'models.get': async ({ model }) => models.get(model),
    'models.add': (input, { signal }) => models.add(input, signal),
    'models.cache': () => models.cache(),
    'models.card': ({ model }) => models.card(model),
    'models.tokenize': ({ model, text, specialTokens }) => models.tokenize(model, text, specialTokens),
    'models.tensors': async ({ model }) => models.tensors(model),
    'models.histogram': ({ model, tensor }, { signal }) => models.histogram(model, tensor, signal),
    'models.storage': () => models.storage(),
    'models.removal': ({ model }) => models.removal(model),
    'models.downloads': async () => downloads.list(),
    'models.download': async (input, { signal }) => (await downloads.start(input, signal)).download,
    'models.cancelDownload': ({ download }) => downloads.cancel(download),
    'models.resumeDownload': async ({ download }) => downloads.resume(download).download,
    'models.discardDownload': async ({ download }) => {
      await downloads.discard(download);
      return {};
    },
    'models.restore': async ({ model }) => models.restore(model),
    'models.remove': async ({ model }) => {
      models.remove(model);
      return {};
    },
    'access.get': async () => browsers.state(),
    'access.serve': ({ everywhere, port }) =>
      browsers.serve({ host: everywhere ? '0.0.0.0' : '127.0.0.1', port, canEnd: true }),
    'access.end': () => browsers.endForPage(),
    'hub.status': async () => hub.status(),
    'hub.setToken': async ({ token }) => hub.setToken(token),
    'hub.search': ({ query, limit }, { signal }) => hub.search(query, limit, signal),
    'hub.preview': ({ repository, revision }, { signal }) => hub.preview(repository, revision, signal),
    'datasets.list': async () => datasets.list(),
    'datasets.get': async ({ dataset }) => datasets.get(dataset),
    'datasets.add': (input) => datasets.add(input),
    'datasets.rows': ({ dataset, ...range }) => datasets.rows(dataset, range),
    'datasets.shared': ({ dataset }) => datasets.shared(dataset),
    'datasets.restore': async ({ dataset }) => datasets.restore(dataset),
    'datasets.remove': async ({ dataset }) => {
      datasets.remove(dataset);
      return {};
    },
    'runs.list': async (request) => runs.slice(request),
    'runs.get': async ({ run }) => runs.get(run),
    'runs.curves': async ({ run, ...query }) => runs.curves(run, query),
    'runs.sparklines': async (input) => runs.sparklines(input.runs, input.points),
    'runs.router': async ({ run, limit }) => runs.router(run, limit),
    'runs.routerModule': async ({ run, ...site }) => runs.routerModule(run, site),
    'runs.samples': async ({ run, ...query }) => runs.samples(run, query),
    'runs.logs': async ({ run, ...query }) => runs.logs(run, query),
    'runs.start': async (input) => (await runs.start(input)).run,
    'runs.resume': async ({ run }) => (await runs.resume(run)).run,
    'runs.checkpoints': async ({ run }) => runs.checkpoints(run),
    'runs.branch': async ({ run, ...request }) => runs.branch(run, request).run,
    'runs.pause': ({ run }) => runs.pause(run),
    'runs.queue': async () => runs.queue.state(),
    'runs.move': async ({ run, before }) => {
      runs.queue.move(runs.get(run).id, before === null ? null : runs.get(before).id);
      return runs.queue.state();
    },
    'runs.hold': async ({ isHeld }) => {
      runs.queue.hold(isHeld);
      return runs.queue.state();
    },
    'runs.suspend': async () => {
      await runs.suspend();
      return {};
    },
    'runs.stop': ({ run, save }) => runs.stop(run, { save }),
    'runs.annotate': async ({ run, ...changes }) => runs.annotate(run, changes),
    'runs.storage': async ({ run }) => ({ freedBytes: runs.freedBytes(run) }),
    'runs.restore': async ({ run }) => runs.restore(run),
    'runs.remove': async ({ run }) => {
      runs.remove(run);
      return {};
    },
    'plan.calibration': () => forecasts.calibration(),
    'plan.scatter': () => readScatter(context, studies),
    'plan.lengths': ({ model, dataset }, { signal }) => forecasts.lengths(model, dataset, signal),
    'plan.probe': (input, { signal }) => forecasts.probe(input, signal),
    'studies.list': async () => studies.list(),
    'studies.get': async ({ study }) => studies.get(study),
    'studies.start': async (request) => (await studies.start(request)).study,
    'studies.outcome': async ({ study }) => studies.outcome(study),
    'studies.resume': async ({ study }) => (await studies.resume(study)).study,
    'studies.remove': async ({ study }) => {
      studies.remove(study);
      return {};
    },
    'studies.restore': async ({ study }) => studies.restore(study),
    'evaluations.list': async (request) => evaluations.slice(request),
    'evaluations.items': ({ evaluation }) => evaluations.items(evaluation),
    'evaluations.start': (input, { signal }) => evaluations.start(input, signal),
    'evaluations.forecast': (input, { signal }) => evaluations.forecast(input, signal),
    'evaluations.compare': (input, { signal }) => evaluations.compare(input, signal),
    'generate.text': (input, { signal }) => generation.text(input, signal),
    'generate.logits': (input, { signal }) => generation.logits(input, signal),
    'exports.list': async () => exports.list(),
    'exports.create': (input, { signal }) => exports.create(input, signal),
  };
  let isClosed = false;
  const core: Core = {
    home,
    get project() {
      return project;
    },
    events,
    models,
    hub,
    downloads,
    datasets,
    runs,
    evaluations,
    exports,
    generation,
    projects,
    receiveDataset: (upload) => receiveDataset(context, datasets, upload),
    trash: context.trash,
    forecasts,
    studies,
    browsers,
    handlers,
    close() {
      if (isClosed) return;
      isClosed = true;
      void browsers.end();
      runs.queue.close();
      downloads.close();
      models.close();
      engine.close();
      if (mode === 'write') context.trash.empty();
      opened.close();
    },
  };
  return core;
}

function open(
  path: string,
  mode: 'write' | 'read',
  home: string,
): { database: ReadableDatabase; writable: () => WritableDatabase; close: () => void } {
  // A data folder that does not exist yet is made, and an older one upgraded, whoever asks first.
  if (mode === 'write' || !existsSync(path) || needsUpgrade(path)) {
    const unlock = lockHome(home);
    try {
      const database = openWritable(path);
      return {
        database,
        writable: () => database,
        close() {
          database.writable.close();
          unlock();
        },
      };
    } catch (error) {
      unlock();
      throw error;
    }
  }
  const database = openReadable(path);
  return {
    database,
    writable() {
      throw new StudioError(
        'internal',
        'The data folder was opened for reading only.',
        'Report this defect.',
      );
    },
    close: () => database.readable.close(),
  };
}
