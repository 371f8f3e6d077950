import { on } from 'node:events';
import { Worker } from 'node:worker_threads';
import { StudioError } from '../../contract/errors.ts';
import type { ParquetMessage } from './parquetWorker.ts';
import type { ByteSource, SourceRow } from './source.ts';

/**
 * Rows of a Parquet file. A thread of its own reads it: what a damaged or hostile file does to the reader ends that
 * thread and nothing else.
 * @throws StudioError dataset_invalid where the file is damaged, or packed inside another one
 */
export async function* parquetRows(
  source: ByteSource,
  onBytes: (bytes: number) => void,
): AsyncGenerator<SourceRow> {
  if (source.path === null)
    throw new StudioError(
      'dataset_invalid',
      `${source.name} is a Parquet file inside an archive, and is read from its end.`,
      'Unpack the archive, and import the folder.',
    );
  const worker = new Worker(new URL('./parquetWorker.ts', import.meta.url), {
    workerData: source.path,
    // Little garbage is let lie.
    resourceLimits: { maxYoungGenerationSizeMb: 16, maxOldGenerationSizeMb: 1024 },
  });
  let number = 1;
  try {
    // What comes while nobody waits is kept; an error of the thread itself, as lack of memory, is thrown here.
    const messages = on(worker, 'message', { close: ['exit'] }) as AsyncIterable<[ParquetMessage]>;
    for await (const [message] of messages) {
      if (message.kind === 'end') return;
      if (message.kind === 'damaged') throw damaged(source, message.what);
      onBytes(message.bytes);
      for (const value of message.rows) yield { number: number++, value, broken: null };
      worker.postMessage(null);
    }
    throw damaged(source, 'its reader ended');
  } catch (error) {
    if (error instanceof StudioError) throw error;
    throw isMemoryError(error) ? tooLarge(source) : damaged(source, messageOf(error));
  } finally {
    await worker.terminate();
  }
}

function isMemoryError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY';
}

function tooLarge({ name }: ByteSource): StudioError {
  return new StudioError(
    'out_of_memory',
    `${name} holds rows in groups that are too large for the memory that reading it may take.`,
    `Write it with smaller groups: python3 -c 'import pandas; pandas.read_parquet("${name}").to_parquet("small.parquet", row_group_size=10000)'.`,
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function damaged({ name }: ByteSource, what: string): StudioError {
  return new StudioError(
    'dataset_invalid',
    `${name} cannot be read as Parquet: ${what}.`,
    'Fetch the file again, or save it as JSONL.',
  );
}
