import { Worker } from 'node:worker_threads';
import { StudioError } from '../../../contract/errors.ts';
import type { TensorHistogram } from '../../../contract/modelLibrary.ts';
import { cancelled } from '../../machine/disk.ts';
import type { HistogramAnswer, HistogramRequest } from './worker.ts';

/**
 * Counts a tensor's values in a thread of its own: an embedding has gigabytes.
 * @throws StudioError not_found, model_invalid, cancelled
 */
export async function histogramOf(request: HistogramRequest, signal: AbortSignal): Promise<TensorHistogram> {
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: request });
  worker.unref();
  try {
    const answer = await new Promise<HistogramAnswer>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
      const stop = () => reject(cancelled('Reading the weights'));
      signal.addEventListener('abort', stop, { once: true });
      if (signal.aborted) stop();
    });
    if (answer.error) throw StudioError.fromPlain(answer.error);
    return answer.histogram;
  } finally {
    await worker.terminate();
  }
}
