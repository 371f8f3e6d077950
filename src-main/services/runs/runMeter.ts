import { median } from '../../budget/forecast/calibrate.ts';
import type { CardPeak, RunMeasurement } from '../../contract/forecast.ts';
import type { EngineEvent } from '../../engine/messages.ts';

/** Times a training by the engine's events, from now on. */
export interface RunMeter {
  see(event: EngineEvent): void;
  /** Whether it has seen a step: without one, the memory's peak is that of loading. */
  hasSteps(): boolean;
  /** @param cardPeak of its card; null: it had none to itself */
  read(peakMemoryBytes: number, cardPeak: CardPeak | null): RunMeasurement;
}

/** So many intervals decide the median: a long run need not keep all of them. */
const mostIntervals = 1000;

export function startMeter(now: () => number = () => performance.now()): RunMeter {
  const begin = now();
  let last: number | null = null;
  let startSeconds: number | null = null;
  let steps = 0;
  const intervals: number[] = [];
  return {
    see({ type }) {
      const at = now();
      switch (type) {
        case 'step':
          steps++;
          startSeconds ??= (at - begin) / 1000;
          if (last !== null && intervals.length < mostIntervals) intervals.push((at - last) / 1000);
          last = at;
          break;
        case 'skipped':
        case 'eval':
        case 'checkpoint':
          // What comes between two steps is no part of the second.
          if (last !== null) last = at;
          break;
        default:
          break;
      }
    },
    hasSteps: () => steps > 0,
    read: (peakMemoryBytes, cardPeak) => ({
      peakMemoryBytes,
      cardPeak,
      secondsPerStep: intervals.length > 0 ? median(intervals) : null,
      startSeconds,
      seconds: (now() - begin) / 1000,
      steps,
    }),
  };
}
