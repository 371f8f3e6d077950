/** Where a moving average is: the value shown, and how much of the weight is still on the start. */
export interface Smoothing {
  value: number;
  /** weight^n after n values. */
  bias: number;
}

export const startOfSmoothing: Smoothing = { value: 0, bias: 1 };

/**
 * One step of an exponential moving average without the pull towards zero at the start (debiased, as TensorBoard shows
 * it): m_t = w m_(t-1) + (1 - w) x_t, shown as m_t / (1 - w^t). The core runs it over all steps of a run; the page goes
 * on from there.
 * @param weight w, 0 (no smoothing) to below 1
 */
export function smoothedFrom({ value, bias }: Smoothing, next: number, weight: number): Smoothing {
  const mean = weight * value * (1 - bias) + (1 - weight) * next;
  const left = bias * weight;
  return { value: mean / (1 - left), bias: left };
}
