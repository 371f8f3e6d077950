import { StudioError } from '../../contract/errors.ts';

/** How TensorFlow says that a copy to the card found no room there: as an internal error. */
const copyWithoutRoom = /Dst tensor is not initialized/;

/** How TensorFlow, XLA, the CUDA libraries, C++ and JavaScript say that memory is full. */
const kinds =
  /OOM when allocating|failed to allocate|RESOURCE_?EXHAUSTED|out[ _]of[ _]memory|_STATUS_ALLOC_FAILED|bad_alloc|buffer allocation failed/i;

export function saysOutOfMemory(text: string): boolean {
  return kinds.test(text) || copyWithoutRoom.test(text);
}

/** Bytes of an element, by the names that TensorFlow prints. */
const elementBytes: Readonly<Record<string, number>> = {
  float: 4,
  bfloat16: 2,
  half: 2,
  int8: 1,
  uint8: 1,
  int64: 8,
};

/** What a job threw as `out_of_memory`, with what could not be had; null: it is something else. */
export function asOutOfMemory(error: unknown): StudioError | null {
  const text = error instanceof Error ? error.message : String(error);
  if (error instanceof StudioError || !saysOutOfMemory(text)) return null;
  const [, shape, type = ''] = /tensor with shape ?\[([\d,]*)\] and type (\w+)/.exec(text) ?? [];
  const asked = /trying to allocate (\d+)/.exec(text)?.[1];
  const bytes =
    shape === undefined
      ? Number(asked ?? 0)
      : shape.split(',').reduce((size, n) => size * Number(n || 1), elementBytes[type] ?? 4);
  const amount = bytes > 0 ? `${(bytes / 1e6).toFixed(1)} MB` : 'memory';
  const purpose = shape === undefined ? '' : ` for a tensor [${shape.replaceAll(',', ', ')}]`;
  const isOnGpu = /GPU|CUDA|CUBLAS|for device \d/.test(text) || copyWithoutRoom.test(text);
  const place = isOnGpu ? "The GPU's memory" : 'Memory';
  return new StudioError(
    'out_of_memory',
    `${place} is full: the engine could not get ${amount}${purpose}.`,
    outOfMemoryRemedy +
      (isOnGpu ? ' Other programs may hold memory of the card: nvidia-smi lists them.' : ''),
    { cause: error },
  );
}

export const outOfMemoryRemedy =
  'Use a smaller batch with more accumulation, a shorter context, gradient checkpointing, bf16 or a base in 8 bits; the last checkpoint is intact.';
