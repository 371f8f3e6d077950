export type Interval = [number, number];

/** 97.5 % quantile of the normal distribution. */
export const z95 = 1.959963984540054;

/** Wilson's 95 % score interval of a proportion (Wilson 1927). */
export function wilsonInterval(successes: number, n: number): Interval {
  if (n === 0) return [0, 1];
  const p = successes / n;
  const centre = (p + z95 ** 2 / (2 * n)) / (1 + z95 ** 2 / n);
  const half = (z95 * Math.sqrt((p * (1 - p)) / n + z95 ** 2 / (4 * n ** 2))) / (1 + z95 ** 2 / n);
  return [Math.max(0, centre - half), Math.min(1, centre + half)];
}

/** Of items that two subjects answered: right with both, with the first alone, the second alone, and with neither. */
export interface PairedCounts {
  both: number;
  onlyA: number;
  onlyB: number;
  neither: number;
}

/**
 * 95 % interval of the difference of two proportions on the same items, second less first: Newcombe's square-and-add
 * method 10 (Newcombe 1998, "Improved confidence intervals for the difference between binomial proportions based on
 * paired data"), from Wilson's intervals of both and their correlation. It has a width also where nothing differs.
 */
export function pairedDifferenceInterval({ both, onlyA, onlyB, neither }: PairedCounts): Interval {
  const n = both + onlyA + onlyB + neither;
  if (n === 0) return [-1, 1];
  const [rightA, rightB] = [both + onlyA, both + onlyB];
  const [a, b] = [rightA / n, rightB / n];
  const [[lowA, highA], [lowB, highB]] = [wilsonInterval(rightA, n), wilsonInterval(rightB, n)];
  const margins = rightA * rightB * (n - rightA) * (n - rightB);
  const cross = both * neither - onlyA * onlyB;
  const phi = margins === 0 ? 0 : (cross > 0 ? Math.max(cross - n / 2, 0) : cross) / Math.sqrt(margins);
  const spread = (x: number, y: number) => Math.sqrt(Math.max(0, x * x - 2 * phi * x * y + y * y));
  return [b - a - spread(b - lowB, highA - a), b - a + spread(highB - b, a - lowA)];
}
