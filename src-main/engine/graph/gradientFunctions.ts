import type { Tensor } from './graph.ts';

/**
 * x y, or x^T y, that reverse mode makes when the gradient is asked for: by then it can be joined with others (see
 * `gradients`).
 */
export interface LaterProduct {
  readonly x: Tensor;
  readonly y: Tensor;
  readonly transposeX: boolean;
}

/** Gradients of an operation's inputs; null: none flows there. */
export type InputGradients = readonly (Tensor | LaterProduct | null)[];

/**
 * Gradients of an operation's inputs, given those of its outputs (null: no gradient arrives there).
 * `wanted[i]` is false where nobody needs the gradient of input i: return null there without building nodes, so that
 * the gradient of a frozen weight is never computed.
 */
export type GradientFunction = (
  upstream: readonly (Tensor | null)[],
  wanted: readonly boolean[],
) => InputGradients;

/**
 * The same for operations that add up what arrives at an output by themselves, in the loop in which they read it
 * anyway: they get the addends, none where no gradient arrives.
 *
 * `read[i]` says whether a product that is made at the end of the backward pass reads output i. An operation that gives
 * its outputs `again` in that same loop, or null, spares the forward pass to keep them.
 */
export type AddendGradientFunction = (
  upstream: readonly (readonly Tensor[])[],
  wanted: readonly boolean[],
  read: readonly boolean[],
) => InputGradients | { gradients: InputGradients; again: readonly (Tensor | null)[] };
