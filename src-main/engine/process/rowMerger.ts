import { StudioError } from '../../contract/errors.ts';
import { asFloat32, asStored } from '../../formats/files/floats.ts';
import type { MergedUpdate } from './mergedCheck.ts';
import { createRowKernels, lanes, tileColumns } from './rowKernels.ts';

/** Rows are merged in parts of about so many numbers, which a processor keeps in its cache. */
const partLength = 1 << 16;

/** So many columns of A, of all its rows, stay in the nearest cache while rows of a weight pass. */
const columnsAtOnce = 256;

/** What f16 holds at most. */
const greatestHalf = 65504;

/** The weight that rows are of, and in which types they come and go. */
export interface MergedWeight {
  /** For messages. */
  name: string;
  /** As safetensors names it. */
  stored: string;
  dtype: string;
  /** Length of a row. */
  columns: number;
  /** Null: nothing is merged, only the type may change. */
  update: MergedUpdate | null;
}

/**
 * Merges updates into rows of one weight after the other: W + c B A, and for DoRA m W' / ||W'|| by rows. The sum over
 * the rank is taken in f32, the result rounded once to the type that is asked for. One merger is enough for a model.
 */
export class RowMerger {
  readonly #kernels = createRowKernels();
  #weight: MergedWeight | null = null;
  #rows = 0;
  #rank = 0;
  /** Where things lie in the kernels' memory, in bytes; stored numbers at 0. */
  #places = { values: 0, factors: 0, down: 0 };

  /** What `merge` is about from now on. */
  load(weight: MergedWeight): void {
    const { columns, update } = weight;
    const rank = update ? update.down.length / columns : 0;
    const rows = 2 * Math.max(1, Math.floor(partLength / columns / 2));
    const aligned = (numbers: number) => 16 * Math.ceil(numbers / 4);
    const values = aligned(rows * columns);
    const factors = 2 * values;
    const down = factors + aligned(rows * rank);
    this.#kernels.reserve(down + 4 * rank * columns);
    [this.#weight, this.#rows, this.#rank, this.#places] = [weight, rows, rank, { values, factors, down }];
    if (update) this.#floats(down, rank * columns).set(update.down);
  }

  /**
   * @param bytes whole rows of the weight, from row `first` on; overwritten with the result where that is as long
   * @throws StudioError config_invalid for numbers that f16 does not hold
   */
  merge(bytes: Uint8Array, first: number): Uint8Array {
    const { name, stored, dtype, columns, update } = this.#weight!;
    const [from, to] = [bytesEach(stored), bytesEach(dtype)];
    const count = bytes.byteLength / from;
    // Buffers of megabytes that are used once keep the garbage collector busy.
    const out = to === from ? bytes : new Uint8Array(count * to);
    for (let begin = 0; begin < count; begin += this.#rows * columns) {
      const length = Math.min(count - begin, this.#rows * columns);
      this.#read(bytes.subarray(from * begin, from * (begin + length)), stored, length);
      if (update) this.#add(update, { first: first + begin / columns, count: length / columns, columns });
      if (dtype === 'F16' && (update || stored !== 'F16')) refuseGreater(this.#values(length), name);
      out.set(this.#written(dtype, length), to * begin);
    }
    return out;
  }

  /** Takes stored numbers as f32 to where the kernels find them. */
  #read(bytes: Uint8Array, stored: string, length: number): void {
    const { values } = this.#places;
    const whole = stored === 'BF16' ? length - (length % lanes) : 0;
    if (whole > 0) {
      this.#bytes(0, 2 * whole).set(bytes.subarray(0, 2 * whole));
      this.#kernels.widen(0, values, whole / lanes);
    }
    if (whole < length)
      this.#floats(values + 4 * whole, length - whole).set(
        asFloat32(bytes.subarray(whole * bytesEach(stored)), stored),
      );
  }

  /** The f32 numbers there in a type; the next ones overwrite it. */
  #written(dtype: string, length: number): Uint8Array {
    if (dtype === 'F32') return this.#bytes(this.#places.values, 4 * length);
    if (dtype !== 'BF16' || length % lanes > 0) return asStored(this.#values(length), dtype);
    this.#kernels.narrow(this.#places.values, 0, length / lanes);
    return this.#bytes(0, 2 * length);
  }

  #add(
    { up, magnitude }: MergedUpdate,
    { first, count, columns }: { first: number; count: number; columns: number },
  ): void {
    const { values, factors, down } = this.#places;
    const rank = this.#rank;
    const own = up.subarray(first * rank, (first + count) * rank);
    this.#floats(factors, own.length).set(own);
    const pairs = count >> 1;
    const tiled = columns - (columns % tileColumns);
    if (pairs > 0)
      for (let column = 0; column < tiled; column += columnsAtOnce) {
        const tiles = Math.min(columnsAtOnce, tiled - column) / tileColumns;
        const [to, from] = [values + 4 * column, down + 4 * column];
        this.#kernels.addProduct(to, 4 * columns, pairs, tiles, factors, rank, from);
      }
    const plain = {
      values: this.#values(count * columns),
      factors: own,
      down: this.#floats(down, rank * columns),
      columns,
    };
    // What fills no tile.
    addPlainly(plain, { rows: [0, 2 * pairs], from: tiled });
    addPlainly(plain, { rows: [2 * pairs, count], from: 0 });
    if (magnitude) rescale(plain.values, magnitude.subarray(first, first + count));
  }

  #values(length: number): Float32Array {
    return this.#floats(this.#places.values, length);
  }

  #floats(place: number, length: number): Float32Array {
    return new Float32Array(this.#kernels.buffer(), place, length);
  }

  #bytes(place: number, length: number): Uint8Array {
    return new Uint8Array(this.#kernels.buffer(), place, length);
  }
}

function bytesEach(dtype: string): 2 | 4 {
  return dtype === 'F32' ? 4 : 2;
}

/**
 * Adds factors A to some of the rows, from a column on: the sum over the rank in f32 and in order, as the kernels do.
 */
export function addPlainly(
  {
    values,
    factors,
    down,
    columns,
  }: { values: Float32Array; factors: Float32Array; down: Float32Array; columns: number },
  { rows: [begin, end], from }: { rows: readonly [number, number]; from: number },
): void {
  const rank = down.length / columns;
  for (let row = begin; row < end; row++)
    for (let column = from; column < columns; column++) {
      let sum = 0;
      for (let k = 0; k < rank; k++)
        sum = Math.fround(sum + Math.fround(factors[row * rank + k]! * down[k * columns + column]!));
      values[row * columns + column]! += sum;
    }
}

/** Gives each row the length that DoRA trained; its norm in f64. */
function rescale(values: Float32Array, magnitude: Float32Array): void {
  const columns = values.length / magnitude.length;
  for (let row = 0; row < magnitude.length; row++) {
    const [begin, end] = [row * columns, (row + 1) * columns];
    let squares = 0;
    for (let i = begin; i < end; i++) squares += values[i]! * values[i]!;
    const ratio = magnitude[row]! / Math.sqrt(squares);
    for (let i = begin; i < end; i++) values[i]! *= ratio;
  }
}

function refuseGreater(values: Float32Array, name: string): void {
  for (let i = 0; i < values.length; i++)
    if (!(Math.abs(values[i]!) <= greatestHalf))
      throw new StudioError(
        'config_invalid',
        `${name} has the value ${values[i]}, and F16 holds numbers up to ${greatestHalf}.`,
        'Choose BF16 or F32 for the exported weights.',
      );
}
