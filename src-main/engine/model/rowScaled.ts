import { asFloat32 } from '../../formats/files/floats.ts';

/** A matrix in 8 bits: row i is scales_i times its integers. */
export interface RowScaled {
  values: Int8Array;
  scales: Float32Array;
}

/**
 * Rounds every row of a stored matrix to multiples of a 127th of its greatest size (absmax, as bitsandbytes does for
 * weights of LLM.int8; Dettmers et al. 2022, section 2.1). A row of zeros stays one; one with a NaN becomes all NaN, so
 * that the training sees it. One row at a time is there in f32.
 *
 * @param bytes [rows, columns], row by row @param dtype as safetensors names it
 */
export function rowScaled(bytes: Uint8Array, dtype: string, rows: number): RowScaled {
  const rowBytes = bytes.byteLength / rows;
  const scales = new Float32Array(rows);
  let values = new Int8Array(0);
  for (let row = 0; row < rows; row++) {
    const weights = asFloat32(bytes.subarray(row * rowBytes, (row + 1) * rowBytes), dtype);
    const columns = weights.length;
    if (row === 0) values = new Int8Array(rows * columns);
    let greatest = 0;
    for (let i = 0; i < columns; i++) {
      const size = Math.abs(weights[i]!);
      if (size > greatest || Number.isNaN(size)) greatest = size;
    }
    const scale = greatest / 127;
    scales[row] = scale;
    if (scale === 0) continue;
    const factor = 1 / scale;
    const begin = row * columns;
    for (let i = 0; i < columns; i++) values[begin + i] = Math.round(weights[i]! * factor);
  }
  return { values, scales };
}
