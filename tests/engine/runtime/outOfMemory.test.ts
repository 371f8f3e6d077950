import { expect, it } from 'vitest';
import { StudioError } from '../../../src-main/contract/errors.ts';
import { asOutOfMemory } from '../../../src-main/engine/runtime/outOfMemory.ts';

it.each([
  [
    'Session fail to run with error: 2 root error(s) found.\n  (0) RESOURCE_EXHAUSTED: OOM when allocating tensor with shape[4096,32768] and type float on /job:localhost/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc',
    /^The GPU's memory is full: .* 536\.9 MB for a tensor \[4096, 32768\]/,
  ],
  [
    'OOM when allocating tensor with shape[1024,1024] and type bfloat16 on /job:localhost/replica:0/task:0/device:CPU:0 by allocator cpu',
    /^Memory is full: .* 2\.1 MB for a tensor \[1024, 1024\]/,
  ],
  [
    'RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1073741824 bytes.\n\t [[{{node PartitionedCall_7}}]] on GPU:0',
    /^The GPU's memory is full: .* 1073\.7 MB\./,
  ],
  ['failed to allocate 2.0KiB: CUDA_ERROR_OUT_OF_MEMORY: out of memory', /^The GPU's memory is full/],
  ['INTERNAL: failed to create cublas handle: CUBLAS_STATUS_ALLOC_FAILED', /^The GPU's memory is full/],
  // Another program holds the card: not even the first buffer is had.
  ['FAILED_PRECONDITION: Failed to allocate scratch buffer for device 0', /^The GPU's memory is full/],
  // A weight that is fed finds no room.
  ['Invalid TF_Status: 13\nMessage: Dst tensor is not initialized.', /^The GPU's memory is full/],
  ['std::bad_alloc', /^Memory is full/],
  ['Array buffer allocation failed', /^Memory is full/],
])('%s is no defect of the studio', (message, said) => {
  expect(asOutOfMemory(new Error(message))).toMatchObject({
    code: 'out_of_memory',
    message: expect.stringMatching(said) as string,
    remedy: expect.stringMatching(/smaller batch.*checkpoint/) as string,
  });
});

it('leaves other errors as they are', () => {
  expect(asOutOfMemory(new Error('INVALID_ARGUMENT: shapes [4096,2] and [3] do not fit'))).toBeNull();
  expect(asOutOfMemory(new Error("ENOENT: no such file, open '/data/OOM/model'"))).toBeNull();
  expect(asOutOfMemory(new StudioError('usage', 'RESOURCE_EXHAUSTED', 'x'))).toBeNull();
});
