import type { LowRank } from '../../methods/method.ts';

/** An update of a lower rank, and how much of the whole one it is. */
export interface CutUpdate extends LowRank {
  /** Squares of the singular values, of those that stayed and of all. */
  keptVariance: number;
  variance: number;
}

/**
 * The update B A [dOut, dIn] with all but the `most` greatest of its singular values left out: the nearest matrix of
 * that rank (Eckart and Young 1936). With A A' = L L' and L' B' B L = V S V' the singular values are the roots of S,
 * and their part of the update is (B L v)(v' L^-1 A): matrices of rank x rank are all that is decomposed.
 */
export function cutRank({ down, up, rank }: LowRank, most: number): CutUpdate {
  const [dIn, dOut] = [down.length / rank, up.length / rank];
  const { values, vectors } = symmetricEigen(
    gram(rank, dIn, (k, j) => down[k * dIn + j]!),
    rank,
  );
  // L = W sqrt(D); directions that A does not have (D = 0) take no part.
  const greatest = values.reduce((highest, value) => Math.max(highest, value), 0);
  const scales = values.map((value) => (value > greatest * 1e-14 ? Math.sqrt(value) : 0));
  const rotate = (row: number, column: number) => vectors[row * rank + column]! * scales[column]!;
  const wide = new Float64Array(dOut * rank);
  for (let i = 0; i < dOut; i++)
    for (let k = 0; k < rank; k++) {
      const b = up[i * rank + k]!;
      for (let c = 0; c < rank; c++) wide[i * rank + c]! += b * rotate(k, c);
    }
  const found = symmetricEigen(
    gram(rank, dOut, (k, i) => wide[i * rank + k]!),
    rank,
  );
  const order = found.values.map((_, i) => i).sort((a, b) => found.values[b]! - found.values[a]!);
  const kept = order.slice(0, Math.min(most, rank));
  const newUp = new Float32Array(dOut * kept.length);
  const newDown = new Float32Array(kept.length * dIn);
  kept.forEach((column, at) => {
    const direction = Array.from({ length: rank }, (_, c) => found.vectors[c * rank + column]!);
    for (let i = 0; i < dOut; i++) {
      let sum = 0;
      for (let c = 0; c < rank; c++) sum += wide[i * rank + c]! * direction[c]!;
      newUp[i * kept.length + at] = sum;
    }
    // v' L^-1 = v' D^-1/2 W'.
    const factors = Array.from({ length: rank }, (_, k) =>
      direction.reduce(
        (sum, value, c) => sum + (scales[c]! > 0 ? (value / scales[c]!) * vectors[k * rank + c]! : 0),
        0,
      ),
    );
    for (let j = 0; j < dIn; j++) {
      let sum = 0;
      for (let k = 0; k < rank; k++) sum += factors[k]! * down[k * dIn + j]!;
      newDown[at * dIn + j] = sum;
    }
  });
  const variance = found.values.reduce((sum, value) => sum + Math.max(0, value), 0);
  const keptVariance = kept.reduce((sum, column) => sum + Math.max(0, found.values[column]!), 0);
  return { down: newDown, up: newUp, rank: kept.length, keptVariance, variance };
}

/** Inner products of `count` vectors of `length` numbers. */
function gram(count: number, length: number, valueOf: (vector: number, at: number) => number): Float64Array {
  const result = new Float64Array(count * count);
  for (let a = 0; a < count; a++)
    for (let b = a; b < count; b++) {
      let sum = 0;
      for (let i = 0; i < length; i++) sum += valueOf(a, i) * valueOf(b, i);
      result[a * count + b] = result[b * count + a] = sum;
    }
  return result;
}

const mostSweeps = 60;

/** Eigenvalues of a symmetric matrix and its eigenvectors as columns, by cyclic Jacobi rotations. */
export function symmetricEigen(
  matrix: Float64Array,
  size: number,
): { values: number[]; vectors: Float64Array } {
  const a = Float64Array.from(matrix);
  const vectors = new Float64Array(size * size);
  for (let i = 0; i < size; i++) vectors[i * size + i] = 1;
  const norm = Math.sqrt(a.reduce((sum, value) => sum + value * value, 0));
  for (let sweep = 0; sweep < mostSweeps; sweep++) {
    let off = 0;
    for (let p = 0; p < size; p++)
      for (let q = p + 1; q < size; q++) {
        const value = a[p * size + q]!;
        off += value * value;
        if (Math.abs(value) > norm * 1e-18) rotate(a, vectors, size, p, q);
      }
    if (Math.sqrt(off) <= norm * 1e-15) break;
  }
  return { values: Array.from({ length: size }, (_, i) => a[i * size + i]!), vectors };
}

/** Makes a[p][q] zero (Golub and Van Loan, section 8.5). */
function rotate(a: Float64Array, vectors: Float64Array, size: number, p: number, q: number): void {
  const theta = (a[q * size + q]! - a[p * size + p]!) / (2 * a[p * size + q]!);
  const t = Math.sign(theta || 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
  const c = 1 / Math.sqrt(t * t + 1);
  const s = t * c;
  for (let k = 0; k < size; k++) {
    const [x, y] = [a[k * size + p]!, a[k * size + q]!];
    a[k * size + p] = c * x - s * y;
    a[k * size + q] = s * x + c * y;
  }
  for (let k = 0; k < size; k++) {
    const [x, y] = [a[p * size + k]!, a[q * size + k]!];
    a[p * size + k] = c * x - s * y;
    a[q * size + k] = s * x + c * y;
    const [u, v] = [vectors[k * size + p]!, vectors[k * size + q]!];
    vectors[k * size + p] = c * u - s * v;
    vectors[k * size + q] = s * u + c * v;
  }
}
