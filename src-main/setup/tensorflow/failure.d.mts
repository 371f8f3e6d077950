/**
 * Why the last attempt to provide TensorFlow did not reach what it was for, or null. TensorFlow can be there all the
 * same: for the CPU instead of the GPU.
 */
export function tensorflowFailure(): { message: string; remedy: string } | null;
