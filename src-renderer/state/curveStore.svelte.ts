import { SvelteMap } from 'svelte/reactivity';
import { toPlainError } from '../../src-main/contract/errors.ts';
import type { StudioEvent } from '../../src-main/contract/events.ts';
import type { StudioClient } from '../rpc/client.ts';
import { noCurves, withEval, withSteps, type HeldCurves } from './curves.ts';

/** How much of a run's curves a page wants. */
export interface CurveAsk {
  points: number;
  /** Weight of the loss's moving average. */
  smoothing: number;
}

/** Enough for a sparkline. */
const fewest: CurveAsk = { points: 200, smoothing: 0 };

/** So many steps may come on top of an overview before a new one is asked for: what the page holds stays bounded. */
const mostAdded = 1000;

/** Curves of the runs that some page has asked for: an overview of each, kept by events. */
export class CurveStore {
  readonly #client: StudioClient;
  readonly #held = new SvelteMap<string, HeldCurves>();
  /* Nothing on the page shows these two, so they are no SvelteMaps. */
  // eslint-disable-next-line svelte/prefer-svelte-reactivity
  readonly #asks = new Map<string, CurveAsk>();
  /** Events that come while curves are on their way, by run: applied after them, or they would be lost. */
  // eslint-disable-next-line svelte/prefer-svelte-reactivity
  readonly #underWay = new Map<string, { events: StudioEvent[]; done: Promise<void> }>();

  constructor(client: StudioClient) {
    this.#client = client;
  }

  get(runId: string): HeldCurves | undefined {
    return this.#held.get(runId);
  }

  /** Loads a run's curves, which events then keep, unless they are there in that detail already. @throws StudioError */
  async load(runId: string, ask: CurveAsk = fewest): Promise<void> {
    const known = this.#asks.get(runId);
    const isEnough =
      known && known.points >= ask.points && (known.smoothing === ask.smoothing || ask === fewest);
    if (isEnough) return this.#underWay.get(runId)?.done;
    this.#asks.set(runId, ask);
    if (!this.#held.has(runId)) this.#held.set(runId, noCurves);
    await this.#fetch(runId);
  }

  /** Loads all anew, after events were missed; those of runs that are gone are forgotten. */
  async reload(): Promise<void> {
    const reloaded = async (runId: string) => {
      try {
        await this.#fetch(runId);
      } catch (error) {
        if (toPlainError(error).code !== 'not_found') throw error;
        this.#forget(runId);
      }
    };
    await Promise.all([...this.#asks.keys()].map(reloaded));
  }

  /** Forgets all: another project's runs are shown from now on. */
  clear(): void {
    for (const runId of [...this.#asks.keys()]) this.#forget(runId);
  }

  apply(event: StudioEvent): void {
    if ('runId' in event) this.#underWay.get(event.runId)?.events.push(event);
    this.#change(event);
  }

  #change(event: StudioEvent): void {
    switch (event.type) {
      case 'run': {
        // A run that goes back to a checkpoint takes steps back.
        const last = this.#held.get(event.run.id)?.steps.at(-1)?.step;
        if (last !== undefined && event.run.step < last) this.#refresh(event.run.id);
        break;
      }
      case 'run.steps': {
        const curves = this.#held.get(event.runId);
        if (!curves) break;
        const longer = withSteps(curves, event.steps);
        this.#held.set(event.runId, longer);
        const { points } = this.#asks.get(event.runId) ?? fewest;
        if (longer.steps.length > points + mostAdded) this.#refresh(event.runId);
        break;
      }
      case 'run.eval': {
        const curves = this.#held.get(event.runId);
        if (curves) this.#held.set(event.runId, withEval(curves, event.metric));
        break;
      }
      case 'run.removed':
        this.#forget(event.runId);
        break;
      default:
        break;
    }
  }

  #forget(runId: string): void {
    this.#asks.delete(runId);
    this.#underWay.delete(runId);
    this.#held.delete(runId);
  }

  /** What cannot be had now comes with the next steps or the next reload. */
  #refresh(runId: string): void {
    if (!this.#underWay.has(runId)) void this.#fetch(runId).catch(() => undefined);
  }

  #fetch(runId: string): Promise<void> {
    const events: StudioEvent[] = [];
    const fetched = async () => {
      const { points, smoothing } = this.#asks.get(runId)!;
      const isLatest = () => this.#underWay.get(runId)?.events === events;
      try {
        const curves = await this.#client.call('runs.curves', { run: runId, points, smoothing });
        // A later ask has taken this one's place: it brings everything.
        if (isLatest()) this.#held.set(runId, { ...curves, smoothing });
      } catch (error) {
        if (isLatest()) this.#asks.delete(runId);
        throw error;
      } finally {
        if (isLatest()) {
          this.#underWay.delete(runId);
          for (const event of events) this.#change(event);
        }
      }
    };
    // In the table before the first answer can come.
    const flight = { events, done: Promise.resolve() };
    this.#underWay.set(runId, flight);
    flight.done = fetched();
    return flight.done;
  }
}

const sparklinePoints = 48;
/** Rows that come into sight together are asked for together. */
const gatherMs = 40;
/** A running run's line is asked for again after so many per cent more steps. */
const growth = 1.1;

/** Small loss curves of the runs in sight, asked for in one call. */
export class Sparklines {
  readonly #client: StudioClient;
  readonly #lines = new SvelteMap<string, readonly number[]>();
  /** Step of each run at which it was last asked for; nothing on the page shows it. */
  // eslint-disable-next-line svelte/prefer-svelte-reactivity
  readonly #asked = new Map<string, number>();
  #wanted: string[] = [];

  constructor(client: StudioClient) {
    this.#client = client;
  }

  get(runId: string): readonly number[] | undefined {
    return this.#lines.get(runId);
  }

  /** Asks for a run's line, unless it is there and the run has hardly gone on since. */
  want(run: { id: string; step: number }): void {
    const asked = this.#asked.get(run.id);
    if (run.step === 0 || (asked !== undefined && run.step < asked * growth)) return;
    this.#asked.set(run.id, run.step);
    this.#wanted.push(run.id);
    if (this.#wanted.length === 1) setTimeout(() => void this.#fetch(), gatherMs);
  }

  async #fetch(): Promise<void> {
    const runs = this.#wanted;
    this.#wanted = [];
    try {
      const lines = await this.#client.call('runs.sparklines', { runs, points: sparklinePoints });
      for (const [id, values] of Object.entries(lines)) this.#lines.set(id, values);
    } catch {
      // The next time that the rows are in sight asks again; the banner says where the connection is lost.
      for (const id of runs) this.#asked.delete(id);
    }
  }
}
