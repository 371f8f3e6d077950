import { normalQuantile, normalTail } from './normal.ts';

/**
 * The t with P(|T| < t) = `confidence` for a whole number of degrees of freedom, to ten digits.
 * @param confidence above 0 and below 1
 */
export function studentQuantile(freedom: number, confidence: number): number {
  if (freedom > 1000) return nearNormal(freedom, normalQuantile((1 + confidence) / 2));
  let [low, high] = [0, 1];
  while (within(high, freedom) < confidence) high *= 2;
  for (let i = 0; i < 70; i++) {
    const middle = (low + high) / 2;
    if (within(middle, freedom) < confidence) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** The quantile of many degrees of freedom from that of the normal distribution (Abramowitz and Stegun 26.7.5). */
function nearNormal(freedom: number, z: number): number {
  const first = (z ** 3 + z) / 4;
  const second = (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96;
  const third = (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384;
  return z + first / freedom + second / freedom ** 2 + third / freedom ** 3;
}

/** Two-sided p of Student's test that a mean is not 0, of at least two values. */
export function studentTest(mean: number, deviation: number, n: number): number {
  if (deviation === 0) return mean === 0 ? 1 : 0;
  return Math.max(0, 1 - within((Math.abs(mean) * Math.sqrt(n)) / deviation, n - 1));
}

/** P(|T| < t) (Abramowitz and Stegun 26.7.3, 26.7.4). */
function within(t: number, freedom: number): number {
  const angle = Math.atan(t / Math.sqrt(freedom));
  const cosine = Math.cos(angle);
  const isOdd = freedom % 2 === 1;
  let term = isOdd ? cosine : 1;
  let sum = freedom === 1 ? 0 : term;
  for (let k = isOdd ? 3 : 2; k <= freedom - 2; k += 2) {
    term *= ((k - 1) / k) * cosine ** 2;
    sum += term;
  }
  return isOdd ? (2 / Math.PI) * (angle + Math.sin(angle) * sum) : Math.sin(angle) * sum;
}

/**
 * Chance that a two-sided t test of a mean sees an effect: with V chi-squared over its degrees of freedom,
 * P(|Z + shift| > t sqrt(V)), integrated over V by Simpson's rule.
 *
 * @param effect the mean in standard deviations of a single value; @param n values, at least two
 */
export function studentPower(effect: number, n: number, alpha: number): number {
  const freedom = n - 1;
  const t = studentQuantile(freedom, 1 - alpha);
  const shift = Math.abs(effect) * Math.sqrt(n);
  // Over the root of chi-squared: its density is smooth at 0 for every number of degrees of freedom.
  const most = Math.sqrt(freedom) + 9;
  const steps = 400;
  const logNorm = (freedom / 2 - 1) * Math.log(2) + logGammaOfHalf(freedom);
  const integrand = (root: number) => {
    if (root === 0) return freedom === 1 ? Math.exp(-logNorm) : 0;
    const density = Math.exp((freedom - 1) * Math.log(root) - (root * root) / 2 - logNorm);
    const edge = (t * root) / Math.sqrt(freedom);
    return density * (above(edge - shift) + above(edge + shift));
  };
  let sum = integrand(0) + integrand(most);
  for (let i = 1; i < steps; i++) sum += (i % 2 === 1 ? 4 : 2) * integrand((most * i) / steps);
  return (sum * most) / steps / 3;
}

/** P(Z > z) for any z. */
function above(z: number): number {
  return z >= 0 ? normalTail(z) : 1 - normalTail(-z);
}

/** The logarithm of gamma(k / 2). */
function logGammaOfHalf(k: number): number {
  let total = k % 2 === 0 ? 0 : 0.5 * Math.log(Math.PI);
  for (let x = k / 2 - 1; x > 0; x--) total += Math.log(x);
  return total;
}
