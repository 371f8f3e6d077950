import type { ProcedureOutput } from '../../src-main/contract/procedures.ts';
import { getContext, setContext } from 'svelte';
import { SvelteMap } from 'svelte/reactivity';
import type { Dataset, Model, Project, Queue, Run } from '../../src-main/contract/entities.ts';
import type { ScoringQueue } from '../../src-main/contract/evaluation/scoring.ts';
import type { Evaluation } from '../../src-main/contract/results.ts';
import type { ListPlace, ListSlice } from '../../src-main/contract/listSlices.ts';
import type { DoctorReport, Updates } from '../../src-main/contract/machine.ts';
import type { Download } from '../../src-main/contract/modelLibrary.ts';
import { toPlainError, type PlainError } from '../../src-main/contract/errors.ts';
import type { Mix } from '../../src-main/contract/mixing/mixes.ts';
import type { Study } from '../../src-main/contract/studies.ts';
import type { ProgressEvent, StudioEvent } from '../../src-main/contract/events.ts';
import type { StudioClient } from '../rpc/client.ts';
import type { ConnectionState } from '../rpc/transport.ts';
import { CurveStore, type CurveAsk } from './curveStore.svelte.ts';
import { GrowingList, loadRest } from './growingList.svelte.ts';
import { confirmDone } from './toasts.svelte.ts';
import { withStep, type Pace } from './pace.ts';

export interface Progress {
  label: string;
  done: number;
  total: number | null;
  secondsLeft?: number | null | undefined;
  unit?: 'bytes' | undefined;
  /** What of the queue of scores it is a part of. */
  entry?: string | undefined;
  /** When the part was first heard of here, milliseconds since 1970, and how far it was then. */
  began?: { at: number; done: number };
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
  info: ProcedureOutput<'studio.info'> | null = $state.raw(null);
  /** By title. */
  projects: Project[] = $state.raw([]);
  models: Model[] = $state.raw([]);
  datasets: Dataset[] = $state.raw([]);
  /** Models that are being downloaded, and downloads that were left unfinished; newest first. */
  downloads: Download[] = $state.raw([]);
  readonly runList = new GrowingList<Run>(({ id }) => id);
  /** Whose turn comes when, of all projects: the machine is one. */
  queue: Queue = $state.raw({ isHeld: false, cards: 0, atOnce: 'all', running: [], waiting: [] });
  /** What is scored, and what waits for it, of all projects. */
  scoring: ScoringQueue = $state.raw({ running: [], waiting: [], ended: [], unreadable: [] });
  readonly evaluationList = new GrowingList<Evaluation>(({ runId }) => runId);
  /** Newest first. */
  studies: Study[] = $state.raw([]);
  /** By name. */
  mixes: Mix[] = $state.raw([]);
  doctor: DoctorReport | null = $state.raw(null);
  /** What is known of newer versions. */
  updates: Updates | null = $state.raw(null);
  /** By task: what takes longer than a second. */
  readonly progress = new SvelteMap<string, Progress>();
  readonly curves: CurveStore;
  readonly paces = new SvelteMap<string, Pace>();

  // Nothing on the page shows it, so it is no SvelteSet.
  // eslint-disable-next-line svelte/prefer-svelte-reactivity
  readonly #listeners = new Set<StudioListener>();

  /** The state in which a run of another project was seen last. */
  // eslint-disable-next-line svelte/prefer-svelte-reactivity
  readonly #elsewhere = new Map<string, Run['state']>();

  /** Events that come while lists are on their way: applied after them, or an old list would undo them. */
  #held: StudioEvent[] | null = null;
  #latestLoad: Promise<void> = Promise.resolve();
  #loads = 0;

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

  /** Newest first; of many, those that are here so far (`runList`). */
  get runs(): readonly Run[] {
    return this.runList.entries;
  }

  /** As `runs` (`evaluationList`). */
  get evaluations(): readonly Evaluation[] {
    return this.evaluationList.entries;
  }

  run(id: string): Run | undefined {
    return this.runs.find((run) => run.id === id);
  }

  /**
   * Sees to it that a run of the open project is among `runs`, also while older ones are on their way.
   * @returns the run, of whatever project
   * @throws StudioError not_found
   */
  async seekRun(id: string): Promise<Run> {
    const known = this.run(id);
    if (known) return known;
    const run = await this.client.call('runs.get', { run: id });
    // What came meanwhile by an event is newer.
    if (this.isOfProject(run) && !this.run(run.id)) this.runList.put(run);
    return this.run(run.id) ?? run;
  }

  /** The runs that are prepared or train, of whatever project: one, or one on each card. */
  get running(): readonly Run[] {
    return this.queue.running.filter(({ state }) => state === 'running');
  }

  /** Whether another run would begin at once: no run trains, or there is a card without one. */
  get hasRoom(): boolean {
    const { atOnce, cards } = this.queue;
    return this.running.length < (atOnce === 'one' ? 1 : Math.max(1, cards));
  }

  /** Whether a run has a page here: those of other projects have none until their project is opened. */
  isOfProject(run: Run): boolean {
    return run.project === this.info?.project;
  }

  /**
   * Loads a run's curves into `curves`, in that detail at least; without one, enough for a sparkline. @throws
   * StudioError
   */
  loadCurves(runId: string, ask?: CurveAsk): Promise<void> {
    return this.curves.load(runId, ask);
  }

  async loadDoctor(): Promise<void> {
    this.doctor = await this.client.call('studio.doctor', {});
  }

  /** Looks for a newer version where the user agreed to that, once a day. */
  async loadUpdates(): Promise<void> {
    this.updates = await this.client.call('updates.look', { daily: true });
  }

  /**
   * Opens a project, and returns when its lists are here: no page is to show those of the one before. @throws
   * StudioError
   */
  async openProject(project: string): Promise<void> {
    await this.client.call('projects.open', { project });
    await this.#reload();
  }

  /** Loads everything anew; done when the latest such load is. */
  #reload(): Promise<void> {
    return (this.#latestLoad = this.#load());
  }

  async #load(): Promise<void> {
    const load = ++this.#loads;
    const held: StudioEvent[] = [];
    this.#held = held;
    try {
      const { client } = this;
      const [
        info,
        projects,
        models,
        downloads,
        datasets,
        runs,
        queue,
        scoring,
        evaluations,
        studies,
        mixes,
        progress,
      ] = await Promise.all([
        client.call('studio.info', {}),
        client.call('projects.list', {}),
        client.call('models.list', {}),
        client.call('models.downloads', {}),
        client.call('datasets.list', {}),
        client.call('runs.list', {}),
        client.call('runs.queue', {}),
        client.call('scoring.queue', {}),
        client.call('evaluations.list', {}),
        client.call('studies.list', {}),
        client.call('mixes.list', {}),
        client.call('studio.progress', {}),
      ]);
      // Another reload has begun meanwhile, perhaps for another project: its answers are newer.
      if (this.#held !== held) return this.#latestLoad;
      const isSame = this.info?.project === info.project;
      this.info = info;
      this.projects = projects;
      this.models = models;
      this.downloads = downloads;
      this.datasets = datasets;
      this.runList.begin(runs, { isSame });
      this.queue = queue;
      this.scoring = scoring;
      this.evaluationList.begin(evaluations, { isSame });
      this.studies = studies;
      this.mixes = mixes;
      this.loadError = null;
      this.isLoaded = true;
      for (const task of this.progress.keys())
        if (!progress.some((event) => event.task === task)) this.progress.delete(task);
      for (const event of progress) this.#apply(event);
      if (!isSame) this.curves.clear();
      this.#held = null;
      for (const event of held) this.#apply(event);
      const isLatest = () => load === this.#loads;
      void this.#loadRest(this.runList, 'runs.list', runs.next, isLatest);
      void this.#loadRest(this.evaluationList, 'evaluations.list', evaluations.next, isLatest);
      await this.curves.reload();
      for (const listener of this.#listeners) listener.onReload();
    } catch (error) {
      if (this.#held === held) this.#held = null;
      this.loadError = toPlainError(error);
    }
  }

  /** The older entries of a long list. */
  #loadRest<T extends Run | Evaluation>(
    list: GrowingList<T>,
    name: 'runs.list' | 'evaluations.list',
    next: ListPlace | null,
    isLatest: () => boolean,
  ): Promise<void> {
    return loadRest(list, {
      next,
      read: (after) => this.client.call(name, { after }) as Promise<ListSlice<never>>,
      isLatest,
      onProblem: (error) => (this.loadError = error === null ? null : toPlainError(error)),
    });
  }

  #apply(event: StudioEvent): void {
    switch (event.type) {
      case 'run':
        this.queue = withRunOfQueue(this.queue, event.run);
        // The list of projects counts runs by their state alone: a running one speaks up with every few steps.
        if (this.#stateOf(event.run.id) !== event.run.state) this.#refreshProjects();
        this.#elsewhere.delete(event.run.id);
        // Of a job of another project only its place in the queue and its numbers in the list of projects are shown.
        if (this.info && event.run.project !== this.info.project) {
          this.#elsewhere.set(event.run.id, event.run.state);
          break;
        }
        this.runList.put(event.run);
        if (event.run.state !== 'running') this.paces.delete(event.run.id);
        break;
      case 'run.removed':
        this.runList.removeOf(event.runId);
        this.evaluationList.removeOf(event.runId);
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
      case 'exports.changed':
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
      case 'mixes.changed':
        void this.#refresh(async () => (this.mixes = await this.client.call('mixes.list', {})));
        break;
      case 'studies.changed':
        void this.#refresh(async () => (this.studies = await this.client.call('studies.list', {})));
        break;
      case 'evaluation':
        if (this.info && event.evaluation.project !== this.info.project) break;
        this.evaluationList.put(event.evaluation);
        break;
      case 'scoring':
        this.scoring = event.queue;
        break;
      // Kept where chats are shown.
      case 'chat':
      case 'chat.text':
        break;
      case 'progress':
        this.progress.set(event.task, { ...event, began: this.#beginOf(event) });
        break;
      case 'progress.ended':
        this.progress.delete(event.task);
        break;
      default:
        throw new Error(`unknown event ${JSON.stringify(event satisfies never)}`);
    }
  }

  #beginOf({ task, label, done }: ProgressEvent): { at: number; done: number } {
    const before = this.progress.get(task);
    return before?.label === label && before.began ? before.began : { at: Date.now(), done };
  }

  #stateOf(runId: string): Run['state'] | undefined {
    return this.run(runId)?.state ?? this.#elsewhere.get(runId);
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

/** The queue with the run as it is now: events of the queue come when its order changes. */
function withRunOfQueue(queue: Queue, run: Run): Queue {
  const current = (entry: Run) => (entry.id === run.id ? run : entry);
  return { ...queue, running: queue.running.map(current), waiting: queue.waiting.map(current) };
}

const key = Symbol('studio');

export function provideStudio(studio: Studio): void {
  setContext(key, studio);
}

export function useStudio(): Studio {
  return getContext<Studio>(key);
}
