import { bytes } from '../../ui/format.ts';

export type FitVerdict = 'fits' | 'bf16' | 'tight' | 'too_large';

export interface Fit {
  verdict: FitVerdict;
  word: string;
  /** What was compared with what. */
  sentence: string;
}

const words: Record<FitVerdict, string> = {
  fits: 'fits',
  bf16: 'fits as bf16',
  tight: 'tight',
  too_large: 'too large',
};

/**
 * Whether the frozen weights alone find room in memory: four bytes a parameter as f32, two as bf16, against three
 * quarters of it (`fits`) or all of it (`tight`). Training needs more; this only tells what cannot work.
 */
export function weightsFit(parameters: number, memoryBytes: number): Fit {
  const [f32, bf16] = [4 * parameters, 2 * parameters];
  const roomy = 0.75 * memoryBytes;
  const verdict: FitVerdict =
    f32 <= roomy ? 'fits' : bf16 <= roomy ? 'bf16' : bf16 <= memoryBytes ? 'tight' : 'too_large';
  return {
    verdict,
    word: words[verdict],
    sentence: `The weights alone take ${bytes(f32)} as f32 or ${bytes(bf16)} as bf16; this machine has ${bytes(memoryBytes)} of memory. Training needs more, by batch and context length.`,
  };
}
