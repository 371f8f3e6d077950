import type { TrainConfig } from '../contract/training.ts';

/** Ampere (compute capability 8) and newer cards have units for bf16 and for TF32; older ones multiply f32 faster. */
export function hasTensorUnits(capability: string): boolean {
  return Number(capability) >= 8;
}

/**
 * Whether f32 products of a run round to TF32 on a card: where the run asks for it, or the user set it for everything.
 * @param capability of the card: 8.9
 */
export function usesTf32(
  { precision, tf32 }: Pick<TrainConfig, 'precision' | 'tf32'>,
  capability: string,
  env: { NVIDIA_TF32_OVERRIDE?: string | undefined } = {},
): boolean {
  return precision === 'f32' && hasTensorUnits(capability) && (tf32 || env.NVIDIA_TF32_OVERRIDE === '1');
}
