import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { score } from '../../../src-main/engine/inference/score.ts';
import { dependsOnLength } from '../../../src-main/formats/families/decoderConfig.ts';
import { readDecoderConfig } from '../../../src-main/formats/families/huggingFaceConfig.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';
import * as batches from '../../../src-main/engine/model/batches.ts';
import { writeTokenFile, type TokenRow } from '../../../src-main/formats/files/tokenFile.ts';
import { bucketLengths, scoringCalls } from '../../../src-main/options/scoredLengths.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';
import { fixtures, tinyLlama } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

// The batches that the engine lays out are counted.
vi.mock('../../../src-main/engine/model/batches.ts', async (original) => {
  const module = await original<typeof batches>();
  return { ...module, layOutBatch: vi.fn(module.layOutBatch) };
});
const laidOut = vi.mocked(batches.layOutBatch);
afterEach(() => laidOut.mockClear());

const context = {
  tf: loadTensorflow().tf,
  fusion: false,
  emit: () => undefined,
  stopRequested: async () => null,
};

async function scored(rows: readonly TokenRow[], batch: number, folder = tinyLlama) {
  const tokenFile = join(temporaryFolder(), 'rows.tokens');
  writeTokenFile(tokenFile, rows);
  const model = { folder, precision: 'f32', adapterFolder: null } as const;
  return (await score({ kind: 'score', model, tokenFile, batch }, context)).rows;
}

const rowsOf = (lengths: readonly number[]) => {
  const random = createRandom(8);
  return lengths.map((length) => ({
    ids: Int32Array.from({ length }, () => 3 + random.integer(90)),
    trained: Uint8Array.from({ length }, (_, t) => Number(t > 2)),
  }));
};

it.each([
  [tinyLlama, false],
  [join(fixtures, 'tiny-llama-dynamic'), true],
])('makes the calls that a forecast counts: %s', async (folder, isUniform) => {
  const { contextLength, ropes } = readDecoderConfig(folder);
  expect(ropes.some(dependsOnLength)).toBe(isUniform);
  const lengths = Array.from({ length: 60 }, (_, i) => (i % 9 === 0 ? 80 + i : 5 + (i % 30)));
  await scored(rowsOf(lengths), 4, folder);
  const made = new Map<number, number>();
  for (const [, batch, tokens] of laidOut.mock.calls) {
    expect(batch).toBe(4);
    made.set(tokens, (made.get(tokens) ?? 0) + 1);
  }
  const limits = { batch: 4, context: contextLength, isUniform };
  const foreseen = scoringCalls(Int32Array.from(lengths), limits);
  expect(foreseen.map(({ tokens, calls }) => [tokens, calls])).toEqual([...made]);
  expect(foreseen.length > 1).toBe(!isUniform);
});

it('scores rows of any length in file order as each by itself', async () => {
  // Short ones and long ones take turns; the longest is cut at the context of 96.
  const lengths = [90, 7, 120, 12, 9, 40, 5, 8, 60, 15, 10, 11, 33, 6];
  const rows = rowsOf(lengths);
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
