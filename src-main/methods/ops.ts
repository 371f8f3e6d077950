/**
 * The operations over which a method writes its graph, for any kind of tensor T: this part of the studio knows no
 * graph. The engine has the one implementation, with gradients (engine/model/methodOps.ts).
 *
 * Types: a method sees activations and weights in the compute type (f32 or bf16). Products take and give the compute
 * type; sums over many values are formed in f32 (`toF32`) and rounded once (`toTypeOf`). Binary operations broadcast as
 * NumPy does.
 */
export interface MethodOps<T> {
  /** x y, [m, k] with [k, n]. */
  matmul(x: T, y: T): T;
  /** x W^T: what a linear module with the weight W [out, in] does to x [rows, in]. */
  linear(x: T, weight: T): T;

  add(x: T, y: T): T;
  /** Left to right. */
  addAll(terms: readonly T[]): T;
  subtract(x: T, y: T): T;
  multiply(x: T, y: T): T;
  divide(x: T, y: T): T;
  square(x: T): T;
  sqrt(x: T): T;
  /** x times a number that is known when the graph is built. */
  scale(x: T, factor: number): T;
  /** A number in the type of x. */
  scalarLike(x: T, value: number): T;
  /** Over the last axis, in f32. */
  softmax(x: T): T;
  sum(x: T, axes: readonly number[]): T;
  toF32(x: T): T;
  /** x in the type of `like`. */
  toTypeOf(like: T, x: T): T;

  reshape(x: T, shape: readonly number[]): T;
  concat(parts: readonly T[], axis: number): T;
  /** Entries of x along an axis. Only axis 0 has a gradient: for others give one with `withProductGradient`. */
  gather(x: T, indices: T, axis: number): T;

  /**
   * Elementwise work as one compiled loop; matrix products stay outside.
   * @param kind names the function: body must do the same wherever kind and the shapes of the inputs are the same, so
   * numbers that it takes from around it belong into the name
   */
  fused<const I extends readonly T[]>(
    kind: string,
    inputs: I,
    body: (inputs: { readonly [K in keyof I]: T }) => T,
  ): T;
  /** The same value, through which no gradient flows. */
  stopGradient(x: T): T;
  /** The same value, whose gradient flows to `to` as the product x y of what `gradient` says, and nowhere else. */
  withProductGradient(to: T, value: T, gradient: (upstream: T) => { readonly x: T; readonly y: T }): T;
}
