import { join } from 'node:path';
import { expect, it } from 'vitest';
import { bucketLengths, score } from '../../../src-main/engine/inference/score.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';
import { writeTokenFile, type TokenRow } from '../../../src-main/formats/files/tokenFile.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { tinyLlama } from '../../support/trainingRun.ts';

const context = {
  tf: loadTensorflow().tf,
  fusion: false,
  emit: () => undefined,
  stopRequested: async () => null,
};

async function scored(rows: readonly TokenRow[], batch: number) {
  const tokenFile = join(temporaryFolder(), 'rows.tokens');
  writeTokenFile(tokenFile, rows);
  const model = { folder: tinyLlama, precision: 'f32', adapterFolder: null } as const;
  return (await score({ kind: 'score', model, tokenFile, batch }, context)).rows;
}

it('scores rows of any length in file order as each by itself', async () => {
  const random = createRandom(8);
  // Short ones and long ones take turns; the longest is cut at the context of 96.
  const lengths = [90, 7, 120, 12, 9, 40, 5, 8, 60, 15, 10, 11, 33, 6];
  const rows = lengths.map((length) => ({
    ids: Int32Array.from({ length }, () => 3 + random.integer(90)),
    trained: Uint8Array.from({ length }, (_, t) => Number(t > 2)),
  }));
  expect(bucketLengths(Int32Array.from(lengths), 96, 2)).toEqual([16, 24, 48, 96]);
  const found = await scored(rows, 2);
  for (const [i, row] of rows.entries()) {
    const [alone] = await scored([row], 1);
    expect(found[i]).toMatchObject({ tokens: alone!.tokens, greedy: alone!.greedy });
    expect(found[i]!.lossSum / alone!.lossSum, `row ${i}`).toBeCloseTo(1, 4);
  }
});

it('pads few rows to one length: each further one takes an entry that must be compiled', () => {
  expect(bucketLengths(Int32Array.of(8, 8, 8, 64), 64, 2)).toEqual([64]);
  expect(bucketLengths(new Int32Array(1000).fill(5), 8, 4)).toEqual([8]);
  expect(
    bucketLengths(
      Int32Array.from({ length: 1000 }, (_, i) => i + 1),
      1000,
      8,
    ),
  ).toEqual([256, 504, 1000]);
});
