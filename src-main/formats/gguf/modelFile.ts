import type { GgufType } from '../../contract/results.ts';
import type { DecoderConfig } from '../families/decoderConfig.ts';
import { asFloat32 } from '../files/floats.ts';
import { architectureEntries, ggufArchitecture, ropeFactors } from './architecture.ts';
import { tensorTypes } from './ggufTypes.ts';
import { mixedType, quantized, type WrittenType } from './quantize.ts';
import { refuseUnstorable } from './storable.ts';
import { reordered, tensorPlace } from './tensorPlaces.ts';
import { tokenizerEntries } from './tokenizer/tokenizerEntries.ts';
import { writeGguf, type GgufEntry, type GgufTensorToWrite } from './writeGguf.ts';

/** A weight of the model in f32, read row by row. */
export interface WeightToWrite {
  /** As Hugging Face calls it. */
  name: string;
  shape: readonly number[];
  /** Rows begin..end; of one size, the numbers. */
  rows(begin: number, end: number): Float32Array;
}

export interface GgufModelToWrite {
  config: DecoderConfig;
  /** Folder with the tokenizer. */
  folder: string;
  weights: readonly WeightToWrite[];
  type: GgufType;
  /** Jinja source; null: none. */
  chatTemplate: string | null;
  general: readonly GgufEntry[];
  /** Told after each tensor. */
  written(): void;
}

/** Rows are read, ordered and stored in blocks of about so many bytes in f32. */
const blockBytes = 8 * 1024 * 1024;

/** llama.cpp's numbers for what a file mostly holds. */
const fileTypes: Readonly<Record<GgufType, number>> = { F32: 0, F16: 1, BF16: 32, Q8_0: 7, Q4_K_M: 15 };

/**
 * Writes a whole model with its tokenizer as llama.cpp reads it. Norms and biases stay in F32, as its converter has
 * them; a matrix whose rows fill no blocks of its type is stored in a wider one.
 * @throws StudioError config_invalid for numbers that a type does not hold
 * @returns sentences on what llama.cpp computes otherwise than the studio
 */
export function writeGgufModel(path: string, model: GgufModelToWrite): string[] {
  const { config, type } = model;
  const { name: architecture, notes } = ggufArchitecture(config);
  const tokenizer = tokenizerEntries(model.folder, config.vocabularySize);
  const text = (key: string, value: string): GgufEntry => ({ key, type: 'string', value });
  const entries: GgufEntry[] = [
    text('general.architecture', architecture),
    text('general.type', 'model'),
    ...model.general,
    ...architectureEntries(config),
    { key: 'general.file_type', type: 'u32', value: fileTypes[type] },
    { key: 'general.quantization_version', type: 'u32', value: 2 },
    ...tokenizer.entries,
    ...(model.chatTemplate === null ? [] : [text('tokenizer.chat_template', model.chatTemplate)]),
  ];
  const factors = ropeFactors(config).map(({ name, values }): GgufTensorToWrite => ({
    name,
    type: 'F32',
    shape: [values.length],
    data: () => [quantized(values, 'F32')],
  }));
  writeGguf(path, entries, [...factors, ...model.weights.map((weight) => tensorOf(weight, model))]);
  return [...notes, ...tokenizer.notes];
}

/** The type in which a weight is stored. */
export function storedType(
  { name, shape }: Pick<WeightToWrite, 'name' | 'shape'>,
  asked: GgufType,
  config: DecoderConfig,
): WrittenType {
  if (shape.length === 1) return 'F32';
  if (asked === 'Q4_K_M')
    return mixedType({ name: tensorPlace(config, name).name, columns: shape.at(-1)! }, config);
  return shape.at(-1)! % tensorTypes[asked].blockLength === 0 ? asked : 'F16';
}

function tensorOf(weight: WeightToWrite, { config, type, written }: GgufModelToWrite): GgufTensorToWrite {
  const { name, shape } = weight;
  const place = tensorPlace(config, name);
  const stored = storedType(weight, type, config);
  const isMatrix = shape.length > 1;
  const rowLength = isMatrix ? shape[1]! : 1;
  const whole = place.headDim ?? 1;
  const step = Math.max(1, Math.floor(blockBytes / (4 * rowLength * whole))) * whole;
  return {
    name: place.name,
    type: stored,
    shape,
    *data() {
      for (let row = 0; row < shape[0]!; row += step) {
        let values = weight.rows(row, Math.min(shape[0]!, row + step));
        if (place.headDim !== null)
          values = reordered(values, { headDim: place.headDim, rowLength, direction: 'toFile' });
        if (place.offset !== 0) values = values.map((value) => value + place.offset);
        const bytes = quantized(values, stored);
        refuseUnstorable(name, { values, bytes, type: stored });
        yield bytes;
      }
      written();
    },
  };
}

/** Rows of a stored weight in f32. */
export function floatRows(
  read: (begin: number, end: number) => Uint8Array,
  { dtype, shape, byteLength }: { dtype: string; shape: readonly number[]; byteLength: number },
): WeightToWrite['rows'] {
  const rowBytes = byteLength / shape[0]!;
  return (begin, end) => asFloat32(read(begin * rowBytes, end * rowBytes), dtype);
}
