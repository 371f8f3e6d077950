/** P(Z > z) for z >= 0, from erfc's continued fraction and series; relative error below 1e-10. */
export function normalTail(z: number): number {
  const x = z / Math.SQRT2;
  if (x < 2) {
    // erf(x) = 2/sqrt(pi) sum (-1)^n x^(2n+1) / (n! (2n+1))
    let [term, total] = [x, x];
    for (let n = 1; n < 200 && Math.abs(term) > 1e-17 * Math.abs(total); n++) {
      term *= (-x * x) / n;
      total += term / (2 * n + 1);
    }
    return 0.5 * (1 - (2 / Math.sqrt(Math.PI)) * total);
  }
  // erfc(x) = exp(-x^2) / sqrt(pi) / (x + (1/2)/(x + 1/(x + (3/2)/(x + ...))))
  let fraction = x;
  for (let n = 80; n >= 1; n--) fraction = x + n / 2 / fraction;
  return (0.5 * Math.exp(-x * x)) / Math.sqrt(Math.PI) / fraction;
}

/** P(Z < z) for any z. */
export function normalBelow(z: number): number {
  return z < 0 ? normalTail(-z) : 1 - normalTail(z);
}

/** The z with P(Z < z) = p, for 0 < p < 1, to twelve digits: by bisection of the tail. */
export function normalQuantile(p: number): number {
  if (!(p > 0 && p < 1)) throw new Error(`quantile of ${p}`);
  if (p < 0.5) return -normalQuantile(1 - p);
  let [low, high] = [0, 40];
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (normalTail(middle) > 1 - p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
