import { StudioError } from '../../contract/errors.ts';
import type { TensorHistogram } from '../../contract/modelLibrary.ts';
import { asFloat32 } from '../files/floats.ts';
import type { WeightFolder } from './weightFolder.ts';

/** Read at once: a whole embedding may have gigabytes. */
const partBytes = 8 * 1024 * 1024;
const binCount = 81;
/** Standard deviations to either side that the bins cover; what lies beyond is counted apart. */
const reach = 5;

/**
 * Counts a tensor's values in bins around their mean. Two passes over its bytes, in parts; values that are not finite
 * are counted and left out of everything else.
 * @throws StudioError not_found, model_invalid for a type that cannot be read
 */
export function tensorHistogram(weights: WeightFolder, name: string): TensorHistogram {
  const info = weights.info(name);
  if (!info)
    throw new StudioError('not_found', `The model has no tensor ${name}.`, 'Choose one of its list.');
  function* parts(): Generator<Float32Array> {
    for (let at = 0; at < info!.byteLength; at += partBytes)
      yield asFloat32(weights.readRange(name, at, Math.min(info!.byteLength, at + partBytes)), info!.dtype);
  }
  let [count, zeros, notFinite, sum, squares] = [0, 0, 0, 0, 0];
  let [min, max] = [Infinity, -Infinity];
  for (const values of parts())
    for (const value of values) {
      if (!Number.isFinite(value)) {
        notFinite++;
        continue;
      }
      count++;
      if (value === 0) zeros++;
      if (value < min) min = value;
      if (value > max) max = value;
      sum += value;
      squares += value * value;
    }
  const mean = count === 0 ? 0 : sum / count;
  const deviation = count === 0 ? 0 : Math.sqrt(Math.max(0, squares / count - mean * mean));
  const low = count === 0 ? 0 : Math.max(min, mean - reach * deviation);
  const high = count === 0 ? 0 : Math.min(max, mean + reach * deviation);
  const counts = new Array<number>(binCount).fill(0);
  let [below, above] = [0, 0];
  // Values that are all the same lie in the first bin.
  const scale = high > low ? binCount / (high - low) : 0;
  for (const values of parts())
    for (const value of values) {
      if (!Number.isFinite(value)) continue;
      if (value < low) below++;
      else if (value > high) above++;
      else counts[Math.min(binCount - 1, Math.floor((value - low) * scale))]!++;
    }
  return {
    tensor: { name, dtype: info.dtype, shape: [...info.shape] },
    values: { count, zeros, notFinite },
    range: count === 0 ? null : { min, max, mean, deviation },
    bins: { low, high, counts, below, above },
  };
}
