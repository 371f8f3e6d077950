/**
 * The dynamic map of bitsandbytes (Dettmers et al. 2022, "8-bit Optimizers via Block-wise Quantization", section 1.3):
 * 7 decades below 1, of which each has twice as many entries as the one below, besides 0 and 1. An entry is the middle
 * of one of the equal parts into which [0.1, 1] times its decade is cut. Signed: both signs, 2^i entries each in decade
 * i (from the lowest); unsigned: 2^(i + 1).
 */
export function dynamicMap(signed: boolean): number[] {
  const positive = Array.from({ length: 7 }, (_, decade) => {
    const parts = 2 ** (signed ? decade : decade + 1);
    return Array.from({ length: parts }, (_, i) => 10 ** (decade - 6) * (0.1 + (0.9 * (i + 0.5)) / parts));
  }).flat();
  const negative = signed ? positive.map((value) => -value) : [];
  return [...negative, 0, ...positive, 1].sort((a, b) => a - b);
}

/** Middles of neighbouring entries: the index of the nearest entry is the number of them below a value. */
export function midpoints(map: readonly number[]): number[] {
  return map.slice(1).map((value, i) => (value + map[i]!) / 2);
}
