import type { TokenFileReader, TokenRow } from '../../formats/tokenFile.ts';

/** Arrays that a session is fed for a batch of rows. */
export interface Batch {
  /** [batch * tokens]; padding is id 0 behind a row's tokens. */
  ids: Int32Array;
  /** [batch * tokens]: at position t the token to predict, ids[t + 1], where that is trained on; else -1. */
  labels: Int32Array;
  /** [batch * tokens]: the task of the row; only some methods read it. */
  tasks: Int32Array;
  /** Labels in the batch. */
  labelled: number;
  /** Tokens of the rows, without padding. */
  tokens: number;
}

/** Lays rows into a batch of fixed shape; missing rows stay empty, longer ones are cut. */
export function layOutBatch(rows: readonly TokenRow[], batch: number, tokens: number): Batch {
  const ids = new Int32Array(batch * tokens);
  const labels = new Int32Array(batch * tokens).fill(-1);
  const tasks = new Int32Array(batch * tokens);
  const result: Batch = { ids, labels, tasks, labelled: 0, tokens: 0 };
  rows.forEach((row, r) => {
    const length = Math.min(row.ids.length, tokens);
    ids.set(row.ids.subarray(0, length), r * tokens);
    tasks.fill(row.task ?? 0, r * tokens, (r + 1) * tokens);
    for (let t = 1; t < length; t++)
      if (row.trained[t]) {
        labels[r * tokens + t - 1] = row.ids[t]!;
        result.labelled++;
      }
    result.tokens += length;
  });
  return result;
}

/** The length all rows of a file are padded to: that of the longest, up to the context, as a multiple of 8. */
export function paddedLength(files: readonly TokenFileReader[], context: number): number {
  let longest = 1;
  for (const file of files)
    for (let row = 0; row < file.rowCount; row++) longest = Math.max(longest, file.length(row));
  return Math.min(context, Math.ceil(longest / 8) * 8);
}
