import { normalBelow, normalQuantile } from './normal.ts';

/**
 * The t with P(|T| < t) = `confidence`, to nine digits.
 * @param freedom degrees of freedom, above 0; not whole where variances were put together (Satterthwaite 1946)
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
  return studentP((mean * Math.sqrt(n)) / deviation, n - 1);
}

/** Two-sided p of a t value: P(|T| > |t|). */
export function studentP(t: number, freedom: number): number {
  return incompleteBeta(freedom / (freedom + t * t), freedom / 2, 0.5);
}

/** P(|T| < t). */
function within(t: number, freedom: number): number {
  return 1 - studentP(t, freedom);
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
  const logNorm = (freedom / 2 - 1) * Math.log(2) + logGamma(freedom / 2);
  const integrand = (root: number) => {
    if (root === 0) return freedom === 1 ? Math.exp(-logNorm) : 0;
    const density = Math.exp((freedom - 1) * Math.log(root) - (root * root) / 2 - logNorm);
    const edge = (t * root) / Math.sqrt(freedom);
    return density * (normalBelow(shift - edge) + normalBelow(-edge - shift));
  };
  let sum = integrand(0) + integrand(most);
  for (let i = 1; i < steps; i++) sum += (i % 2 === 1 ? 4 : 2) * integrand((most * i) / steps);
  return (sum * most) / steps / 3;
}

/** The logarithm of gamma by Stirling's series, above 7 to fifteen digits. */
function logGamma(x: number): number {
  let [shifted, below] = [x, 0];
  for (; shifted < 7; shifted++) below += Math.log(shifted);
  const inverse = 1 / shifted ** 2;
  const series = 1 / 12 - inverse * (1 / 360 - inverse * (1 / 1260 - inverse * (1 / 1680 - inverse / 1188)));
  return (shifted - 0.5) * Math.log(shifted) - shifted + Math.log(2 * Math.PI) / 2 + series / shifted - below;
}

/** The regularized incomplete beta function I_x(a, b) by its continued fraction (Abramowitz and Stegun 26.5.8). */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x === 0 || x === 1) return x;
  // Beyond its middle the fraction converges slowly: there the other tail is taken.
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
  const logFront = a * Math.log(x) + b * Math.log1p(-x) + logGamma(a + b) - logGamma(a) - logGamma(b);
  const tiny = 1e-300;
  // Numerators and denominators by Lentz's method (Lentz 1976).
  let upper = 1;
  let lower = 1 - ((a + b) * x) / (a + 1);
  lower = 1 / (Math.abs(lower) < tiny ? tiny : lower);
  let value = lower;
  for (let m = 1; m < 500; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    let factor = 1;
    for (const term of [even, odd]) {
      lower = 1 / (1 + term * lower || tiny);
      upper = 1 + term / upper || tiny;
      factor = upper * lower;
      value *= factor;
    }
    if (Math.abs(factor - 1) < 1e-15) break;
  }
  return (Math.exp(logFront) * value) / a;
}
