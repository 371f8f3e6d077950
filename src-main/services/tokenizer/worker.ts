import { parentPort, workerData } from 'node:worker_threads';
import { toPlainError } from '../../contract/errors.ts';
import type { TextClock } from './textClock.ts';
import { doTokenizerWork, type ThreadAnswer, type ThreadRequest } from './tokenizerWork.ts';

/** Entry of the thread in which tokenizers are loaded and run. */
const clock = workerData as TextClock;

parentPort!.on('message', ({ id, work }: ThreadRequest) => {
  let answer: ThreadAnswer;
  try {
    answer = { id, value: doTokenizerWork(clock, work), error: null };
  } catch (error) {
    answer = { id, value: null, error: toPlainError(error) };
  }
  parentPort!.postMessage(answer);
});
