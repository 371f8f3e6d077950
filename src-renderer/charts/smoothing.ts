/**
 * Exponential moving average without the pull towards zero at the start (debiased, as TensorBoard shows it):
 * m_t = w m_(t-1) + (1 - w) x_t, shown as m_t / (1 - w^t).
 * @param weight w, 0 (no smoothing) to below 1
 */
export function smooth(values: readonly number[], weight: number): number[] {
  let mean = 0;
  let bias = 1;
  return values.map((value) => {
    mean = weight * mean + (1 - weight) * value;
    bias *= weight;
    return mean / (1 - bias);
  });
}
