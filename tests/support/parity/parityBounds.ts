import { appendFileSync } from 'node:fs';
import { expect } from 'vitest';

/** What is compared with PyTorch, and the greatest error that passes. */
export const parityBounds = {
  /** Absolute, each value; f32. */
  logits: 2e-4,
  /** Absolute, nats per token; f32. */
  loss: 1e-4,
  /** |a - b| / |b| in the L2 norm, each parameter; f32. */
  gradient: 1e-4,
  /** Relative, each of 100 steps; f32. */
  'loss curve': 1e-3,
  /** Relative, each of 100 steps; f32. */
  'norm curve': 1e-3,
  /** Relative, each of 100 steps, against PyTorch's autocast to bf16 with f32 master adapters. */
  'loss curve, bf16': 2e-2,
  /** Absolute, each value: a folder that the studio wrote, opened by transformers and PEFT. */
  'exported logits': 1e-4,
  /** Absolute, each value: an adapter that PEFT trained and saved, taken in as a run. */
  'imported logits': 1e-4,
};
export type ParityMeasure = keyof typeof parityBounds;

/** `npm run parity` sets it: a file for one JSON line a measurement. */
const report = process.env['ID_LORA_PARITY_REPORT'];

/**
 * Fails where `error` is not below the bound of its kind. @param name what was measured: the case, the parameter or the
 * step
 */
export function expectWithin(measure: ParityMeasure, name: string, error: number): void {
  const bound = parityBounds[measure];
  if (report) appendFileSync(report, `${JSON.stringify({ measure, name, error, bound })}\n`);
  expect(error, `${measure} of ${name}`).toBeLessThan(bound);
}
