import { parentPort, workerData } from 'node:worker_threads';
import { toPlainError, type PlainError } from '../../contract/errors.ts';
import type { TensorHistogram } from '../../contract/modelLibrary.ts';
import { tensorHistogram } from '../../formats/model/tensorHistogram.ts';
import { WeightFolder } from '../../formats/model/weightFolder.ts';

export interface HistogramRequest {
  folder: string;
  tensor: string;
}

export type HistogramAnswer =
  { histogram: TensorHistogram; error: null } | { histogram: null; error: PlainError };

/** Entry of a thread that reads one tensor and ends. */
const { folder, tensor } = workerData as HistogramRequest;
const answer = (value: HistogramAnswer) => parentPort!.postMessage(value);
try {
  const weights = new WeightFolder(folder);
  answer({ histogram: tensorHistogram(weights, tensor), error: null });
  weights.close();
} catch (error) {
  answer({ histogram: null, error: toPlainError(error) });
}
