import { StudioError } from '../../contract/errors.ts';
import { tensorTypes } from './ggufTypes.ts';
import type { WrittenType } from './quantize.ts';

/** What plain types hold at most; the greatest of bf16 is 2^128 less half a unit in its last place. */
const greatest: Partial<Record<WrittenType, number>> = { F16: 65504, BF16: 2 ** 128 - 2 ** 119 };

/** Where the scales of f16 stand in a block. */
const scalesAt: Partial<Record<WrittenType, readonly number[]>> = {
  Q8_0: [0],
  Q5_0: [0],
  Q5_1: [0, 2],
  Q4_K: [0, 2],
  Q5_K: [0, 2],
  Q6_K: [208],
};

/**
 * @param bytes the values as they are stored
 * @throws StudioError config_invalid where a value is no finite number, or becomes none in this type
 */
export function refuseUnstorable(
  name: string,
  { values, bytes, type }: { values: Float32Array; bytes: Uint8Array; type: WrittenType },
): void {
  const most = greatest[type] ?? Infinity;
  for (let i = 0; i < values.length; i++) {
    const size = Math.abs(values[i]!);
    if (!(size < Infinity))
      throw new StudioError(
        'config_invalid',
        `${name} has the value ${values[i]}, which no exported file is to hold.`,
        'The weights are damaged: export another checkpoint, or get the base model once more.',
      );
    if (size > most) throw beyond(name, `the value ${values[i]}, and ${type} holds numbers up to ${most}`);
  }
  const { blockLength, blockBytes } = tensorTypes[type];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const at of scalesAt[type] ?? [])
    for (let from = 0, first = 0; from < bytes.length; from += blockBytes, first += blockLength) {
      if (Number.isFinite(view.getFloat16(from + at, true))) continue;
      const block = values.subarray(first, first + blockLength);
      const largest = block.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0);
      throw beyond(name, `the value ${largest}, and ${type} holds scales of blocks up to 65504`);
    }
}

function beyond(name: string, what: string): StudioError {
  return new StudioError(
    'config_invalid',
    `${name} has ${what}.`,
    'Choose BF16 or F32 for the exported weights.',
  );
}
