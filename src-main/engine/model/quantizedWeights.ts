import type { Quantization } from '../../contract/training.ts';
import { elementCount, type DType } from '../graph/dtype.ts';
import { compiledCall } from '../graph/fused.ts';
import type { Graph, Shape, Tensor } from '../graph/graph.ts';
import { add, cast, greaterEqual, multiply, select } from '../graph/ops/elementwise.ts';
import { concat, gather, gatherByteRows, reshape, sliceAxis } from '../graph/ops/layout.ts';
import { madeMatmul, rowScaledMatmul } from '../graph/ops/linear.ts';
import type { Target } from '../graph/transfers.ts';
import { createVariable, readVariable, type Variable } from '../graph/variables.ts';
import {
  blockScales,
  fromNf4,
  nf4Block,
  nf4Entries,
  nf4Group,
  nf4ScaleMap,
  nf4Sizes,
  storedNf4,
  toNf4,
  type Nf4,
} from './nf4.ts';
import { rowScaled } from './rowScaled.ts';
import type { WeightSource } from './weightSource.ts';

/** A linear module's weight W, however it is kept. */
export interface LinearWeight {
  /** W x. */
  product(x: Tensor): Tensor;
  /** W [dOut, dIn] in the compute type; where it is kept in fewer bits, made once `x` is there. */
  whole(x: Tensor): Tensor;
  /** Rows of W, in the compute type. */
  rows(numbers: Tensor): Tensor;
}

/** A linear module's weight in fewer bits. */
export interface QuantizedWeight extends LinearWeight {
  shape: Shape;
  targets: readonly Target[];
  /** Sets its variables from the tensor as it is stored. */
  load(source: WeightSource, assign: (variable: Variable, bytes: Uint8Array) => void): void;
}

/** What is kept of a weight. */
export interface WeightPlace {
  graph: Graph;
  /** Of the tensor. */
  name: string;
  shape: Shape;
  /** Compute type. */
  dtype: DType;
  /** In 4 bits: its blocks have scales in f32, as it is stored; else in 8 bits. */
  hasPlainScales: boolean;
}

type Quantized = Exclude<Quantization, 'none'>;

/** Declares the variables of a weight that is kept in fewer bits; to be called in the main graph. */
export function declareQuantized(kind: Quantized, place: WeightPlace): QuantizedWeight {
  return kind === 'nf4' ? nf4Weight(place) : rowScaledWeight(place);
}

/** The numbers that are left of a stored weight [rows, columns] which is kept in fewer bits, f32. */
export function asQuantized(kind: Quantized, source: WeightSource, name: string): Float32Array {
  const { dtype, shape } = source.info(name)!;
  if (kind === 'nf4') return fromNf4(nf4Of(source, name), elementCount(shape));
  const [rows] = shape as [number];
  const { values, scales } = rowScaled(source.read(name), dtype, rows);
  const columns = values.length / rows;
  return Float32Array.from(values, (value, i) => value * scales[Math.floor(i / columns)]!);
}

/** A weight in NF4: as it is stored, or quantized from what is. */
function nf4Of(source: WeightSource, name: string): Nf4 {
  const stored = source.readNf4?.(name);
  return (stored && storedNf4(stored)) ?? toNf4(source.read(name), source.info(name)!.dtype);
}

/** In 8 bits, each row with a scale of its own. */
function rowScaledWeight({ graph, name, shape, dtype }: WeightPlace): QuantizedWeight {
  const [rows] = shape as [number];
  const variable = createVariable(graph, name, shape, 'i8');
  const scale = createVariable(graph, `${name}.scales`, [rows], 'f32');
  const [kept, scales] = [readVariable(variable), readVariable(scale)];
  const widened = (values: Tensor, factors: Tensor) =>
    multiply(cast(values, 'f32'), reshape(factors, [values.shape[0]!, 1]));
  return {
    shape,
    targets: [
      { variable, stored: 'i8' },
      { variable: scale, stored: 'f32' },
    ],
    product: (x) => rowScaledMatmul(x, kept, scales),
    whole: (x) => graph.after([x], () => made('int8', [kept, scales], dtype, ([w, s]) => widened(w!, s!))),
    rows: (numbers) => cast(widened(gatherByteRows(kept, numbers), gather(scales, numbers, 0)), dtype),
    load(source, assign) {
      const quantized = rowScaled(source.read(name), source.info(name)!.dtype, rows);
      assign(variable, new Uint8Array(quantized.values.buffer));
      assign(scale, new Uint8Array(quantized.scales.buffer));
    },
  };
}

/** In 4 bits, blocks of 64 with scales in 8 or in 32 bits (see Nf4). */
function nf4Weight({ graph, name, shape, dtype, hasPlainScales }: WeightPlace): QuantizedWeight {
  const count = elementCount(shape);
  const { blocks, groups } = nf4Sizes(count);
  const [rows, columns] = shape as [number, number];
  const halves = createVariable(graph, name, [blocks, nf4Block / 2], 'u8');
  const scaleCodes = hasPlainScales
    ? null
    : createVariable(graph, `${name}.scale_codes`, [groups, nf4Group], 'u8');
  const scales = createVariable(graph, `${name}.scales`, [hasPlainScales ? blocks : groups + 1], 'f32');
  const codes = readVariable(halves);
  const ofScales = [...(scaleCodes ? [scaleCodes] : []), scales].map(readVariable);
  /** Of blocks, f32 [blocks, 1]. */
  const factorsOf = ([first, ofGroups]: readonly Tensor[]) =>
    ofGroups ? nf4Scales(first!, ofGroups, blocks) : reshape(first!, [blocks, 1]);
  const kind = hasPlainScales ? 'nf4_plain' : 'nf4';
  const whole = (type: DType) =>
    reshape(
      made(`${kind}_${count}`, [codes, ...ofScales], type, ([c, ...s]) =>
        flat(nf4Blocks(c!, factorsOf(s)), count),
      ),
      shape,
    );
  return {
    shape,
    targets: [
      { variable: halves, stored: 'u8' },
      ...(scaleCodes ? [{ variable: scaleCodes, stored: 'u8' as const }] : []),
      { variable: scales, stored: 'f32' },
    ],
    product: (x) => cast(madeMatmul(x, whole), x.dtype),
    whole: (x) => graph.after([x], () => whole(dtype)),
    rows(numbers) {
      // Rows that share blocks: no model is trained that has such ones but those of tests.
      if (columns % nf4Block !== 0) return gather(whole(dtype), numbers, 0);
      const perRow = columns / nf4Block;
      const taken = numbers.shape[0]! * perRow;
      const bytes = gatherByteRows(reshape(codes, [rows, columns / 2]), numbers);
      const [factors] = called(`${kind}_scales_${blocks}`, ofScales, (all) => [factorsOf(all)]);
      const chosen = reshape(gather(reshape(factors!, [rows, perRow]), numbers, 0), [taken, 1]);
      const values = made('nf4_rows', [reshape(bytes, [taken, nf4Block / 2]), chosen], dtype, ([c, s]) =>
        nf4Blocks(c!, s!),
      );
      return reshape(values, [numbers.shape[0]!, columns]);
    },
    load(source, assign) {
      const quantized = nf4Of(source, name);
      assign(halves, quantized.codes);
      if (scaleCodes) assign(scaleCodes, quantized.scaleCodes!);
      // Where its tables are not the usual ones, it was quantized anew.
      const values = scaleCodes ? quantized.scales : blockScales(quantized, blocks);
      assign(scales, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    },
  };
}

/** Numbers that have no gradient, made in f32 by one compiled function and rounded to a type. */
function made(
  kind: string,
  inputs: readonly Tensor[],
  dtype: DType,
  body: (inputs: readonly Tensor[]) => Tensor,
): Tensor {
  return called(`${kind}_${dtype}`, inputs, (all) => [cast(body(all), dtype)])[0]!;
}

function called(
  kind: string,
  inputs: readonly Tensor[],
  body: (inputs: readonly Tensor[]) => readonly Tensor[],
): readonly Tensor[] {
  return compiledCall(kind, inputs, body) ?? body(inputs);
}

/** The scales of blocks, f32 [blocks, 1]. @param codes u8 [groups, 256] @param scales f32 [groups + 1] */
function nf4Scales(codes: Tensor, scales: Tensor, blocks: number): Tensor {
  const { graph } = codes;
  const [groups] = codes.shape as [number];
  const entries = gather(graph.constant(nf4ScaleMap), cast(codes, 'i32'), 0);
  const scaled = multiply(entries, reshape(sliceAxis(scales, 0, 0, groups), [groups, 1]));
  const all = reshape(add(scaled, sliceAxis(scales, 0, groups, 1)), [groups * nf4Group]);
  return reshape(sliceAxis(all, 0, 0, blocks), [blocks, 1]);
}

/**
 * The numbers of blocks, f32 [blocks, 64].
 *
 * Entries are chosen by four comparisons of a byte with its bits pushed up, not looked up: 0.3 ns of processor time a
 * number in a function that XLA compiles, against 0.9 with a gather, which takes numbers one by one.
 *
 * @param codes u8 [blocks, 32] @param scales f32 [blocks, 1]
 */
function nf4Blocks(codes: Tensor, scales: Tensor): Tensor {
  const { graph } = codes;
  const top = graph.constant([128], 'u8');
  /** @param highest bit of a byte from above with which a code begins */
  const values = (highest: number): Tensor => {
    let level = nf4Entries.map((entry) => graph.constant(entry));
    for (let bit = highest + 3; bit >= highest; bit--) {
      const isSet = greaterEqual(multiply(codes, graph.constant([2 ** bit], 'u8')), top);
      level = Array.from({ length: level.length / 2 }, (_, i) =>
        select(isSet, level[2 * i + 1]!, level[2 * i]!),
      );
    }
    return multiply(level[0]!, scales);
  };
  return concat([values(0), values(4)], 1);
}

/** The first numbers of blocks as one row. */
function flat(blocks: Tensor, count: number): Tensor {
  return sliceAxis(reshape(blocks, [elementCount(blocks.shape)]), 0, 0, count);
}
