import { parentPort, workerData } from 'node:worker_threads';
import { toPlainError } from '../../../contract/errors.ts';
import { tensorHistogram } from '../../../formats/model/tensorHistogram.ts';
import { WeightFolder } from '../../../formats/model/weightFolder.ts';
import type { HistogramAnswer, HistogramRequest } from './histogram.ts';

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
