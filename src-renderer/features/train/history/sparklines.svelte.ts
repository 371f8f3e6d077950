import { SvelteMap } from 'svelte/reactivity';
import type { StudioClient } from '../../../rpc/client.ts';

const points = 48;
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
      const lines = await this.#client.call('runs.sparklines', { runs, points });
      for (const [id, values] of Object.entries(lines)) this.#lines.set(id, values);
    } catch {
      // The next time that the rows are in sight asks again; the banner says where the connection is lost.
      for (const id of runs) this.#asked.delete(id);
    }
  }
}
