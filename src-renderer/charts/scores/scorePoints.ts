import type { Method } from '../../../src-main/contract/training.ts';

/** A subject's score with the bounds of its 95 % interval, in the axis's unit. */
export interface ScorePoint {
  name: string;
  score: number;
  low: number;
  high: number;
}

/** What was trained, at its number of trainable parameters. */
export interface TrainedPoint extends ScorePoint {
  method: Method;
  trainable: number;
}

/** One item of two subjects, in the axis's unit. */
export interface ItemPair {
  id: string;
  first: number;
  second: number;
}

/** Numbers on a logarithmic axis: 1, 2 and 5 of each power of ten within it; the bounds' own where there are few. */
export function logTicks(from: number, to: number): number[] {
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(from)); 10 ** power <= to; power++)
    for (const digit of [1, 2, 5]) {
      const tick = digit * 10 ** power;
      if (tick >= from && tick <= to) ticks.push(tick);
    }
  return ticks.length > 1 ? ticks : [from, to].map(Math.round);
}
