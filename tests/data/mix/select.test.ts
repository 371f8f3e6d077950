import { describe, expect, it } from 'vitest';
import type { FittedRows } from '../../../src-main/data/mix/fittedRows.ts';
import { selectRows } from '../../../src-main/data/mix/select.ts';

function rows(keys: readonly number[], labels?: readonly number[]): FittedRows {
  const ones = new Uint32Array(keys.length).fill(4);
  const kept = labels ? Uint32Array.from(labels) : ones;
  return { keys: Float64Array.from(keys), wholeTokens: ones, tokens: ones, wholeLabels: ones, labels: kept };
}

const plain = { deduplicate: 'none', heldOutFraction: 0.2, seed: 5 } as const;
const keysOf = (given: FittedRows, numbers: Uint32Array) => Array.from(numbers, (row) => given.keys[row]!);
const alone = (given: FittedRows, options: Partial<Parameters<typeof selectRows>[1]> = {}) =>
  selectRows([{ rows: given, validation: null }], { ...plain, ...options })[0]!;

describe('rows that are trained on and held out', () => {
  const hundred = rows(Array.from({ length: 100 }, (_, i) => (7919 * i) % 1000));

  it('holds out a part by seed, independent of the order of the rows', () => {
    const found = alone(hundred);
    expect(found.heldOut.length).toBe(20);
    expect(found.train.length).toBe(80);
    const reversed = rows([...hundred.keys].reverse());
    const other = alone(reversed);
    expect(keysOf(reversed, other.heldOut)).toEqual(keysOf(hundred, found.heldOut));
    expect(other.key).toBe(found.key);
    expect(keysOf(hundred, alone(hundred, { seed: 6 }).heldOut)).not.toEqual(keysOf(hundred, found.heldOut));
  });

  it('never lets equal rows stand on both sides', () => {
    const repeated = rows(Array.from({ length: 90 }, (_, i) => i % 30));
    for (let seed = 0; seed < 20; seed++) {
      const { train, heldOut } = alone(repeated, { seed });
      const trained = new Set(keysOf(repeated, train));
      expect(keysOf(repeated, heldOut).some((key) => trained.has(key))).toBe(false);
      expect(train.length + heldOut.length).toBe(90);
      expect(heldOut.length).toBe(18);
    }
    const { train, heldOut } = alone(rows([1, 1, 1, 2, 2, 2]), { heldOutFraction: 0.1 });
    expect([train.length, heldOut.length]).toEqual([3, 3]);
    expect(alone(rows([1, 1, 1])).heldOut.length).toBe(0);
  });

  it('trains on no row that another source holds out, and counts them', () => {
    const [one, other] = [rows([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), rows([6, 7, 8, 9, 10, 11, 12, 13, 14, 15])];
    for (let seed = 0; seed < 20; seed++) {
      const found = selectRows(
        [one, other].map((given) => ({ rows: given, validation: null })),
        { ...plain, seed },
      );
      const heldOut = new Set([...keysOf(one, found[0]!.heldOut), ...keysOf(other, found[1]!.heldOut)]);
      for (const [i, given] of [one, other].entries()) {
        expect(keysOf(given, found[i]!.train).filter((key) => heldOut.has(key))).toEqual([]);
        expect(found[i]!.train.length + found[i]!.heldOut.length + found[i]!.heldOutElsewhere).toBe(10);
      }
    }
  });

  it('drops duplicates within a source or across all', () => {
    const [one, other] = [rows([1, 1, 2, 3]), rows([3, 4, 4])];
    const of = (deduplicate: 'none' | 'within' | 'across') =>
      selectRows(
        [one, other].map((given) => ({ rows: given, validation: null })),
        { deduplicate, heldOutFraction: 0, seed: 0 },
      ).map(({ train, duplicateRows }) => [train.length, duplicateRows]);
    expect(of('none')).toEqual([[4, 0], [3, 0]]); // prettier-ignore
    expect(of('within')).toEqual([[3, 1], [2, 1]]); // prettier-ignore
    expect(of('across')).toEqual([[3, 1], [1, 2]]); // prettier-ignore
  });

  it('leaves out rows without a label and uses rows for validation in place of a part', () => {
    const given = rows([1, 2, 3, 4], [0, 2, 2, 2]);
    const validation = rows([4, 8, 9], [3, 0, 3]);
    const [found] = selectRows([{ rows: given, validation }], plain);
    expect(keysOf(given, found!.train)).toEqual([2, 3]);
    expect(found!.droppedRows).toBe(1);
    expect(found!.heldOutElsewhere).toBe(1);
    expect(keysOf(validation, found!.heldOut)).toEqual([4, 9]);
  });
});
