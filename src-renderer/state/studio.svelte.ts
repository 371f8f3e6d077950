import { getContext, setContext } from 'svelte';
import { SvelteMap } from 'svelte/reactivity';
import type { Dataset, Evaluation, Model, Project, Queue, Run } from '../../src-main/contract/entities.ts';
import type { DoctorReport } from '../../src-main/contract/machine.ts';
import type { Download } from '../../src-main/contract/modelLibrary.ts';
import { toPlainError, type PlainError } from '../../src-main/contract/errors.ts';
import type { Study } from '../../src-main/contract/studies.ts';
import type { StudioEvent } from '../../src-main/contract/events.ts';
import type { StudioClient } from '../rpc/client.ts';
import type { ConnectionState } from '../rpc/transport.ts';
import { CurveStore, type CurveAsk } from './curveStore.svelte.ts';
import { confirmDone } from './toasts.svelte.ts';
import { withStep, type Pace } from './pace.ts';

export interface Progress {
  label: string;
  done: number;
  total: number | null;
  secondsLeft?: number | null | undefined;
  unit?: 'bytes' | undefined;
}

export interface StudioListener {
  onEvent(event: StudioEvent): void;
  /** Events were missed: what was kept from them must be loaded anew. */
  onReload(): void;
}

/** What the page knows of the studio: loaded once, then kept by events. */
export class Studio {
  readonly client: StudioClient;
  connection: ConnectionState = $state.raw({ kind: 'connecting' });
  /** False until the lists came for the first time. */
  isLoaded = $state(false);
  loadError: PlainError | null = $state.raw(null);
  info: { version: string; home: string; project: string } | null = $state.raw(null);
  /** By title. */
  projects: Project[] = $state.raw([]);
  models: Model[] = $state.raw([]);
  datasets: Dataset[] = $state.raw([]);
  /** Models that are being downloaded, and downloads that were left unfinished; newest first. */
  downloads: Download[] = $state.raw([]);
  /** Newest first. */
  runs: Run[] = $state.raw([]);
  /** Whose turn comes when, of all projects: the machine is one. */
  queue: Queue = $state.raw({ isHeld: false, running: null, waiting: [] });
  evaluations: Evaluation[] = $state.raw([]);
  /** Newest first. */
  studies: Study[] = $state.raw([]);
  doctor: DoctorReport | null = $state.raw(null);
  /** By task: what takes longer than a second. */
  readonly progress = new SvelteMap<string, Progress>();
  readonly curves: CurveStore;
  readonly paces = new SvelteMap<string, Pace>();

  // Nothing on the page shows it, so it is no SvelteSet.
  // eslint-disable-next-line svelte/prefer-svelte-reactivity
  readonly #listeners = new Set<StudioListener>();

  /** Events that come while lists are on their way: applied after them, or an old list would undo them. */
  #held: StudioEvent[] | null = null;
  #latestLoad: Promise<void> = Promise.resolve();

  constructor(client: StudioClient) {
    this.client = client;
    this.curves = new CurveStore(client);
    client.listen({
      onState: (state) => (this.connection = state),
      onReload: () => void this.#reload(),
      onEvent: (event) => {
        this.#held?.push(event);
        this.curves.apply(event);
        this.#apply(event);
        for (const listener of this.#listeners) listener.onEvent(event);
      },
    });
  }

  /** Tells of events as they come, for what only one page keeps. @returns what ends it */
  listen(listener: StudioListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The project that is open. */
  get project(): Project | undefined {
    return this.projects.find(({ name }) => name === this.info?.project);
  }

  run(id: string): Run | undefined {
    return this.runs.find((run) => run.id === id);
  }

  /** The run that trains, of whatever project. */
  get running(): Run | null {
    const { running } = this.queue;
    return running?.state === 'running' ? running : null;
  }

  /** Whether a run has a page here: those of other projects have none until their project is opened. */
  isOfProject(run: Run): boolean {
    return run.project === this.info?.project;
  }

  /** Loads a run's curves into `curves`, in that detail at least; without one, enough for a sparkline. @throws StudioError */
  loadCurves(runId: string, ask?: CurveAsk): Promise<void> {
    return this.curves.load(runId, ask);
  }

  async loadDoctor(): Promise<void> {
    this.doctor = await this.client.call('studio.doctor', {});
  }

  /** Opens a project, and returns when its lists are here: no page is to show those of the one before. @throws StudioError */
  async openProject(project: string): Promise<void> {
    await this.client.call('projects.open', { project });
    await this.#reload();
  }

  /** Loads everything anew; done when the latest such load is. */
  #reload(): Promise<void> {
    return (this.#latestLoad = this.#load());
  }

  async #load(): Promise<void> {
    const held: StudioEvent[] = [];
    this.#held = held;
    try {
      const { client } = this;
      const [info, projects, models, downloads, datasets, runs, queue, evaluations, studies] =
        await Promise.all([
          client.call('studio.info', {}),
          client.call('projects.list', {}),
          client.call('models.list', {}),
          client.call('models.downloads', {}),
          client.call('datasets.list', {}),
          client.call('runs.list', {}),
          client.call('runs.queue', {}),
          client.call('evaluations.list', {}),
          client.call('studies.list', {}),
        ]);
      // Another reload has begun meanwhile, perhaps for another project: its answers are newer.
      if (this.#held !== held) return this.#latestLoad;
      this.info = info;
      this.projects = projects;
      this.models = models;
      this.downloads = downloads;
      this.datasets = datasets;
      this.runs = newestFirst(runs);
      this.queue = queue;
      this.evaluations = evaluations;
      this.studies = studies;
      this.loadError = null;
      this.isLoaded = true;
      this.progress.clear();
      await this.curves.reload(runs.map(({ id }) => id));
      for (const listener of this.#listeners) listener.onReload();
    } catch (error) {
      this.loadError = toPlainError(error);
    } finally {
      if (this.#held === held) this.#held = null;
    }
    for (const event of held) this.#apply(event);
  }

  #apply(event: StudioEvent): void {
    switch (event.type) {
      case 'run':
        this.queue = withRunOfQueue(this.queue, event.run);
        // Of a job of another project only its place in the queue and its numbers in the list of projects are shown.
        if (this.info && event.run.project !== this.info.project) {
          this.#refreshProjects();
          break;
        }
        if (this.run(event.run.id)?.state !== event.run.state) this.#refreshProjects();
        this.runs = withRun(this.runs, event.run);
        if (event.run.state !== 'running') {
          this.paces.delete(event.run.id);
          this.progress.delete(`run ${event.run.id}`);
        }
        break;
      case 'run.removed':
        this.runs = this.runs.filter(({ id }) => id !== event.runId);
        this.evaluations = this.evaluations.filter(({ runId }) => runId !== event.runId);
        break;
      case 'queue':
        this.queue = event.queue;
        break;
      case 'run.steps': {
        const last = event.steps.at(-1);
        const pace = this.paces.get(event.runId) ?? { seen: [] };
        if (last) this.paces.set(event.runId, withStep(pace, last.step, Date.now()));
        break;
      }
      case 'run.eval':
      case 'run.samples':
      case 'run.router':
      case 'run.log':
        break;
      case 'projects.changed':
        this.#refreshProjects();
        break;
      case 'project.opened':
        void this.#reload();
        break;
      case 'models.changed':
        void this.#refresh(async () => (this.models = await this.client.call('models.list', {})));
        break;
      case 'downloads.changed':
        void this.#refresh(() => this.#loadDownloads());
        break;
      case 'datasets.changed':
        void this.#refresh(async () => (this.datasets = await this.client.call('datasets.list', {})));
        break;
      case 'studies.changed':
        void this.#refresh(async () => (this.studies = await this.client.call('studies.list', {})));
        break;
      case 'evaluation':
        if (this.info && event.evaluation.project !== this.info.project) break;
        this.evaluations = [
          event.evaluation,
          ...this.evaluations.filter(({ id }) => id !== event.evaluation.id),
        ];
        break;
      case 'progress':
        if (event.total !== null && event.done >= event.total) this.progress.delete(event.task);
        else this.progress.set(event.task, event);
        break;
      default:
        throw new Error(`unknown event ${JSON.stringify(event satisfies never)}`);
    }
  }

  #refreshProjects(): void {
    void this.#refresh(async () => (this.projects = await this.client.call('projects.list', {})));
  }

  /** A finished download has become the model of its id: whoever is on another page by now is told. */
  async #loadDownloads(): Promise<void> {
    const before = this.downloads;
    [this.downloads, this.models] = await Promise.all([
      this.client.call('models.downloads', {}),
      this.client.call('models.list', {}),
    ]);
    for (const { id, repository } of before)
      if (
        !this.downloads.some((download) => download.id === id) &&
        this.models.some((model) => model.id === id)
      )
        confirmDone(`Downloaded ${repository}: it is in the library.`);
  }

  /** A list that cannot be had now comes with the next reload: the banner says why. */
  async #refresh(load: () => Promise<unknown>): Promise<void> {
    try {
      await load();
    } catch (error) {
      this.loadError = toPlainError(error);
    }
  }
}

/** A run's place does not change with its state: only a new one has to be put in order. */
function withRun(runs: readonly Run[], run: Run): Run[] {
  const at = runs.findIndex(({ id }) => id === run.id);
  return at >= 0 ? [...runs.slice(0, at), run, ...runs.slice(at + 1)] : newestFirst([run, ...runs]);
}

/** The queue with the run as it is now: events of the queue come when its order changes. */
function withRunOfQueue(queue: Queue, run: Run): Queue {
  const current = (entry: Run) => (entry.id === run.id ? run : entry);
  return { ...queue, running: queue.running && current(queue.running), waiting: queue.waiting.map(current) };
}

function newestFirst(runs: readonly Run[]): Run[] {
  return [...runs].sort((a, b) => (a.createdAt < b.createdAt ? 1 : a.createdAt > b.createdAt ? -1 : 0));
}

const key = Symbol('studio');

export function provideStudio(studio: Studio): void {
  setContext(key, studio);
}

export function useStudio(): Studio {
  return getContext<Studio>(key);
}
