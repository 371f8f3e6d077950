import { expect, it } from 'vitest';
import {
  addBySource,
  batchFromRows,
  layOutBatch,
  layOutPacks,
  type LossSum,
} from '../../../src-main/engine/model/batches.ts';

const row = (ids: number[], prompt: number) => ({
  ids: Int32Array.from(ids),
  trained: Uint8Array.from(ids, (_, i) => (i >= prompt ? 1 : 0)),
});

it('packs rows one behind the other: positions start anew, the last token of a row predicts nothing', () => {
  const batch = layOutPacks([[row([5, 6, 7], 1), row([8, 9], 0)], [row([3, 4], 1)]], { batch: 3, tokens: 7 });
  expect([...batch.ids]).toEqual([5, 6, 7, 8, 9, 0, 0, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  const no = -1;
  expect([...batch.labels.subarray(0, 7)]).toEqual([6, 7, no, 9, no, no, no]);
  expect([...batch.labels.subarray(7)]).toEqual([4, ...Array<number>(13).fill(no)]);
  expect([...batch.positions.subarray(0, 14)]).toEqual([0, 1, 2, 0, 1, 0, 1, 0, 1, 0, 1, 2, 3, 4]);
  expect([...batch.segments.subarray(0, 14)]).toEqual([0, 0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 1, 1, 1]);
  expect(batch).toMatchObject({ labelled: 4, tokens: 7 });
});

it('says where labels are, where logits are made there alone', () => {
  const rows = [row([5, 6, 7], 1), row([8, 9], 0)];
  const batch = layOutPacks([rows], { batch: 1, tokens: 8, longestExample: 3, labels: 4 });
  expect([[...batch.labels], [...batch.places!]]).toEqual([
    [6, 7, 9, -1],
    [0, 1, 3, 0],
  ]);
  const sums = new Map<number, LossSum>();
  addBySource(sums, { ...batch, sources: Uint16Array.of(0, 0, 0, 1, 1, 0, 0, 0) }, [1, 2, 4, 8]);
  expect([...sums]).toEqual([
    [0, { lossSum: 3, tokens: 2 }],
    [1, { lossSum: 4, tokens: 1 }],
  ]);
  expect(() => layOutPacks([rows], { batch: 1, tokens: 8, labels: 2 })).toThrow('3 labels');
});

it('cuts a row that is longer than the batch, with its labels', () => {
  const batch = layOutBatch([row([1, 2, 3, 4, 5], 0)], 1, 3);
  expect([...batch.ids]).toEqual([1, 2, 3]);
  expect([...batch.labels]).toEqual([2, 3, -1]);
  expect(batch).toMatchObject({ labelled: 2, tokens: 3 });
});

it('lays the longest row of a line first, and looks no further back than foreseen', () => {
  const lengths = [40, 200, 90];
  const rows = {
    length: (index: number) => lengths[index]!,
    row: (index: number) => row(Array<number>(lengths[index]!).fill(index + 1), 0),
  };
  const layout = { batch: 1, tokens: 384, longestExample: 200 };
  const fits = { ...layout, firstKeys: [0, 0, 128] };
  const { ids } = batchFromRows([[0], [1], [2]], rows, [fits]);
  expect([ids[0], ids[199], ids[200], ids[289], ids[290], ids[329], ids[330]]).toEqual([2, 2, 3, 3, 1, 1, 0]);
  expect(() => batchFromRows([[0], [1], [2]], rows, [{ ...layout, firstKeys: [0, 0, 256] }])).toThrow(
    'slot 256 sees slot 200, foreseen was 256',
  );
});
