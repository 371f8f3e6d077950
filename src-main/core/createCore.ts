import { existsSync } from 'node:fs';
import type { ProcedureHandlers } from '../contract/procedures.ts';
import { StudioError } from '../contract/errors.ts';
import { createEngineHost, type EngineHost } from '../engine/process/supervisor.ts';
import { benchmarkInfos } from '../evaluation/benchmarks/registry.ts';
import { chatHandlers, createChatService, type ChatService } from '../services/chat/chat.ts';
import type { ServiceContext, Trash } from '../services/context.ts';
import type { DatasetService } from '../services/data/datasetService.ts';
import { adapterHandlers, createAdapterService, type AdapterService } from '../services/adapters/adapters.ts';
import { createDatasetService, datasetHandlers } from '../services/data/datasets.ts';
import { clearUploads, receiveFile } from '../services/data/uploads.ts';
import {
  createDownloadService,
  downloadHandlers,
  type DownloadService,
} from '../services/models/downloads/downloads.ts';
import { examine } from '../services/machine/doctor.ts';
import {
  createEvaluationService,
  evaluationHandlers,
  type EvaluationService,
} from '../services/evaluations/evaluations.ts';
import { clusterHandlers, createClusterService, type ClusterService } from '../services/cluster/cluster.ts';
import { createEventHub } from '../services/eventHub.ts';
import { createExportService, exportHandlers, type ExportService } from '../services/exports/exports.ts';
import {
  createGenerationService,
  generationHandlers,
  type GenerationService,
} from '../services/evaluations/generation.ts';
import {
  createHubDatasetService,
  hubDatasetHandlers,
  type HubDatasetService,
} from '../services/hubDatasets/hubDatasets.ts';
import {
  createGradingService,
  gradingHandlers,
  type GradingService,
} from '../services/evaluations/grading.ts';
import { createHubService, hubHandlers, type HubService } from '../services/models/hub/hub.ts';
import { createForecastService, forecastHandlers, type ForecastService } from '../services/plan/forecasts.ts';
import { createPreviewService, previewHandlers, type PreviewService } from '../services/plan/previews.ts';
import { homePaths } from '../services/homePaths.ts';
import { createEngineProbe } from '../services/machine/engineProbe.ts';
import { cardWords, createCards, shownCard, type Cards } from '../services/machine/cards.ts';
import { readLoad, studioVersion } from '../services/machine/machine.ts';
import { createMixService, mixHandlers, type MixService } from '../services/mixes/mixes.ts';
import { createModelService, modelHandlers, type ModelService } from '../services/models/models.ts';
import { createProjectService, projectHandlers, type ProjectService } from '../services/projects/projects.ts';
import { clearArchives } from '../services/projects/importProject.ts';
import { repairRuntime } from '../services/machine/repair.ts';
import type { RunService } from '../services/runs/runService.ts';
import { createRunService, runHandlers } from '../services/runs/runs.ts';
import { cleanCache, readStorage } from '../services/machine/storage.ts';
import { addStarter, type Starter } from '../services/projects/starter.ts';
import { createGuardService, guardHandlers } from '../services/evaluations/guards/guards.ts';
import {
  createScoringService,
  scoringHandlers,
  type ScoringService,
} from '../services/evaluations/scoring/scoringQueue.ts';
import { createSettlingService, settlingHandlers } from '../services/evaluations/verdicts/settling.ts';
import { preferenceExportHandlers } from '../services/evaluations/verdicts/preferenceExport.ts';
import { overrideHandlers } from '../services/evaluations/verdicts/overrides.ts';
import {
  createReportService,
  reportHandlers,
  type ReportService,
} from '../services/evaluations/verdicts/report.ts';
import { createJudgmentService, judgmentHandlers } from '../services/evaluations/verdicts/judgedPairs.ts';
import { preferenceHandlers } from '../services/evaluations/preferences.ts';
import { judgeStored, readAnswer, readScatter } from '../services/evaluations/storedScores.ts';
import {
  createStatisticsService,
  statisticsHandlers,
  type StatisticsService,
} from '../services/statistics/statistics.ts';
import { createStudyService, studyHandlers, type StudyService } from '../services/plan/studies.ts';
import { createUpdateService, updateHandlers } from '../services/machine/updates.ts';
import { commandLine, updateChannel } from '../setup/paths.mjs';
import { createTrash } from '../services/trash.ts';
import {
  needsUpgrade,
  openReadable,
  openWritable,
  type ReadableDatabase,
  type WritableDatabase,
} from '../store/database.ts';
import { lockHome } from '../store/homeLock.ts';
import { ensureProject, findProject, lastOpenedProject } from '../store/projects.ts';
import type { ServedCore } from './channelHost.ts';
import { createBrowserServer, browserHandlers, type BrowserServer } from './browserAccess.ts';

/** The studio without a face: services over one data folder. */
export interface Core extends ServedCore {
  home: string;
  /** Name of the project that is open now. */
  readonly project: string;
  models: ModelService;
  hub: HubService;
  downloads: DownloadService;
  adapters: AdapterService;
  datasets: DatasetService;
  hubDatasets: HubDatasetService;
  mixes: MixService;
  statistics: StatisticsService;
  runs: RunService;
  evaluations: EvaluationService;
  scoring: ScoringService;
  grading: GradingService;
  reports: ReportService;
  exports: ExportService;
  cluster: ClusterService;
  generation: GenerationService;
  chat: ChatService;
  projects: ProjectService;
  trash: Trash;
  forecasts: ForecastService;
  previews: PreviewService;
  studies: StudyService;
  browsers: BrowserServer;
  /** Adds the studio's own model, its tasks and their mix to the library and the open project. */
  addStarter(): Promise<Starter>;
  /** Kills running engines and gives the data folder back. */
  close(): void;
}

/** Some 16 MB, and as much again on the way to the engine: of MMLU with five examples a fifth. */
const usualHeldTokens = 2 ** 21;

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
  /** Tokens of prompts that are held at once; tests give fewer. */
  heldTokens?: number;
  /** Tests give cards that are not there. */
  cards?: Cards;
}): Core {
  const { home, mode } = options;
  const paths = homePaths(home);
  const cards = options.cards ?? createCards();
  const engine = options.engine ?? createEngineHost({ cards: cards.known });
  const examined = () =>
    examine(home, context.probe, async () => {
      const there = await cards.find();
      runs.queue.look();
      return there.length > 1 ? cardWords(there, engine) : null;
    });
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
    probe: createEngineProbe(engine, () => runs.queue.look()),
    cards: {
      found: () => found,
      usable: () => (context.probe.usesCards() ? cards.known() : []),
    },
    heldTokens: options.heldTokens ?? usualHeldTokens,
    trash: createTrash({ database, writable: opened.writable }),
    emit: events.emit,
  };
  if (mode === 'write') ensureProject(context.writable(), project);
  const models = createModelService(context);
  const hub = createHubService(context);
  const downloads = createDownloadService(context, hub, models);
  const datasets = createDatasetService(context);
  const mixes = createMixService(context, models, datasets);
  const statistics = createStatisticsService(context, models, datasets);
  const hubDatasets = createHubDatasetService(context, hub, datasets);
  const runs = createRunService(context, models, datasets);
  const found = cards.find().then(() => runs.queue.look());
  const adapters = createAdapterService(context, hub, models, runs);
  const grading = createGradingService(context);
  const evaluationsOf = (own: ServiceContext) =>
    createEvaluationService(own, models, datasets, runs, grading);
  const evaluations = evaluationsOf(context);
  const settling = createSettlingService(context, datasets, runs);
  const scoring = createScoringService({ context, models, datasets, runs, evaluationsOf }, settling);
  events.subscribe(null, ({ event }) => {
    // Behind what the event is about: a run whose end is told still has its turn.
    if (event.type === 'run' || event.type === 'run.removed' || event.type === 'queue')
      setImmediate(scoring.look);
    // A card on which was scored may be a run's now.
    if (event.type === 'scoring') setImmediate(runs.queue.look);
  });
  const reports = createReportService(context, models);
  const studies = createStudyService(context, models, datasets, runs);
  const forecasts = createForecastService(context, models, datasets);
  const previews = createPreviewService(context, models, datasets);
  const exports = createExportService(context, models, runs);
  const cluster = createClusterService(context, { models, datasets, runs });
  const generation = createGenerationService(context, models, runs);
  const chat = createChatService(context, models, runs, datasets);
  const projects = createProjectService(context, (name) => (project = name));
  const browsers = createBrowserServer(() => core);
  if (mode === 'write') {
    context.trash.empty();
    runs.recover();
    scoring.recover();
    adapters.recover();
    models.recover();
    datasets.recover();
    downloads.recover();
    clearUploads(context);
    clearArchives(context);
  }

  const handlers: ProcedureHandlers = {
    'studio.info': () => ({
      version: studioVersion,
      home,
      project,
      commandLine,
      benchmarks: [...benchmarkInfos],
    }),
    'studio.progress': () => events.unfinished(),
    'studio.doctor': examined,
    'studio.repair': async (_input, { signal }) => {
      await repairRuntime(events.emit, signal);
      return examined();
    },
    'studio.storage': () => readStorage(context),
    'studio.cleanCache': () => cleanCache(context),
    'studio.load': () => readLoad(shownCard(cards, engine)),
    'studio.addStarter': () => core.addStarter(),
    'projects.answer': () => readAnswer(context),
    'evaluations.judge': ({ evaluations: ids }) =>
      judgeStored(
        context,
        ids,
        (model) => models.list().find(({ id }) => id === model)?.contextLength ?? null,
      ),
    'plan.scatter': () => readScatter(context, studies),
    ...projectHandlers(projects),
    ...modelHandlers(models),
    ...downloadHandlers(downloads),
    ...hubHandlers(hub),
    ...datasetHandlers(datasets),
    ...hubDatasetHandlers(hubDatasets),
    ...mixHandlers(mixes),
    ...statisticsHandlers(statistics),
    ...runHandlers(runs),
    ...adapterHandlers(adapters),
    ...forecastHandlers(forecasts),
    ...previewHandlers(previews),
    ...studyHandlers(studies),
    ...evaluationHandlers(evaluations),
    ...gradingHandlers(grading),
    ...guardHandlers(createGuardService(context, datasets, runs, evaluations)),
    ...scoringHandlers(scoring),
    ...overrideHandlers(context),
    ...reportHandlers(context, reports),
    ...preferenceHandlers(context),
    ...judgmentHandlers(createJudgmentService(context, models, runs)),
    ...preferenceExportHandlers(context),
    ...settlingHandlers(settling),
    ...generationHandlers(generation),
    ...chatHandlers(chat),
    ...exportHandlers(exports),
    ...clusterHandlers(cluster),
    ...browserHandlers(browsers),
    ...updateHandlers(createUpdateService({ file: paths.updates, channel: updateChannel })),
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
    adapters,
    datasets,
    hubDatasets,
    mixes,
    statistics,
    runs,
    evaluations,
    scoring,
    grading,
    reports,
    exports,
    cluster,
    generation,
    chat,
    projects,
    receiveFile: (upload) => receiveFile(context, upload),
    trash: context.trash,
    forecasts,
    previews,
    studies,
    browsers,
    handlers,
    addStarter: () => addStarter({ models, datasets, mixes }),
    close() {
      if (isClosed) return;
      isClosed = true;
      void browsers.end();
      runs.queue.close();
      scoring.close();
      downloads.close();
      hubDatasets.fetches.close();
      models.close();
      previews.close();
      chat.close();
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
