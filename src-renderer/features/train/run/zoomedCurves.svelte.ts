import type { Curves } from '../../../../src-main/contract/runRecords.ts';
import type { Range } from '../../../charts/range.ts';
import type { StudioClient } from '../../../rpc/client.ts';
import { withDetail, within, type DrawnCurves, type HeldCurves } from '../../../state/curves.ts';

/** Points of an overview, and of a range in detail. */
export const chartPoints = 2500;

/** A moving range asks for its detail once it has rested so long. */
const restMs = 90;

/**
 * The part of a run's curves that its charts show. A range is drawn from the overview at once; its detail, with half a
 * screen on either side, comes from the core when the range rests.
 */
export class ZoomedCurves {
  /** Null: all steps. */
  range: Range | null = $state.raw(null);
  #detail: Curves | null = $state.raw(null);
  readonly #overview: () => HeldCurves;
  readonly drawn: DrawnCurves = $derived.by(() =>
    within(withDetail(this.#overview(), this.range && this.#detail), this.range),
  );

  /** To be called while a component is made: its effects end with the component. */
  constructor(client: StudioClient, runId: string, overview: () => HeldCurves) {
    this.#overview = overview;
    // A run that trains gets new steps all the time: detail is asked for again only once they are many.
    const thousands = $derived(Math.floor(overview().total / 1000));
    const isThinned = $derived(overview().total > overview().steps.length);
    const smoothing = $derived(overview().smoothing);
    $effect(() => {
      const { range } = this;
      void thousands;
      if (!range || !isThinned) {
        this.#detail = null;
        return undefined;
      }
      const margin = (range.to - range.from) / 2;
      const ask = {
        run: runId,
        from: Math.max(0, range.from - margin),
        to: range.to + margin,
        points: chartPoints,
        smoothing,
      };
      const aborter = new AbortController();
      const timer = setTimeout(async () => {
        try {
          const detail = await client.call('runs.curves', ask, { signal: aborter.signal });
          if (!aborter.signal.aborted) this.#detail = detail;
        } catch {
          // The overview stays; the next movement asks again, and the banner says where the connection is lost.
        }
      }, restMs);
      return () => {
        clearTimeout(timer);
        aborter.abort();
      };
    });
  }
}
