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
