import { z } from 'zod';
import { StudioError } from '../../contract/errors.ts';
import { asFloat32, asStored } from '../files/floats.ts';
import type { TensorInfo } from '../files/safetensors.ts';

/** The tensors of a folder as they are stored, by name. */
export interface StoredTensors {
  readonly names: readonly string[];
  info(name: string): TensorInfo | null;
  readRange(name: string, begin: number, end: number): Uint8Array;
}

/** A weight in NF4 with blocks of 64, as it is stored. */
export interface StoredNf4 {
  /** Neighbours in the upper and the lower half of a byte. */
  codes: Uint8Array;
  /** Of the scales, which are quantized in groups of 256; null: they are stored in f32. */
  scaleCodes: Uint8Array | null;
  /** Of the groups, f32; of the blocks where these are not quantized. */
  scales: Float32Array;
  offset: number;
  /** The 16 numbers of codes and the 256 of scale codes. */
  entries: Float32Array;
  scaleEntries: Float32Array;
}

/** A weight that is stored in 4 or 8 bits, as what it stands for. */
export interface PackedWeight {
  /** In the type that it was made from, and of its shape. */
  info: TensorInfo;
  /** `NF4`, `FP4` or `INT8`. */
  type: string;
  /** Names of the tensors that describe it, which are no weights. */
  parts: readonly string[];
  /** Bytes begin..end of `info`, dequantized. */
  readRange(begin: number, end: number): Uint8Array;
  /** Whether its blocks have scales in f32 or quantized ones; null: it cannot be kept as it is stored. */
  nf4Scales: 'plain' | 'quantized' | null;
  /** As it is stored; null where it is packed in another way. */
  readNf4(): StoredNf4 | null;
}

/** What bitsandbytes writes beside a weight (functional.QuantState.as_dict, packed). */
const stateSchema = z.object({
  quant_type: z.enum(['nf4', 'fp4']),
  blocksize: z.int().min(2).max(4096),
  dtype: z.enum(['float32', 'float16', 'bfloat16']),
  shape: z.array(z.int().positive()).min(1).max(4),
  nested_blocksize: z.int().positive().max(65536).optional(),
  nested_dtype: z.literal('float32').optional(),
  nested_offset: z.number().optional(),
});
type State = z.infer<typeof stateSchema>;

const stateSuffix = /\.quant_state\.bitsandbytes__(nf4|fp4)$/;
/** What stands beside a weight. */
const parts = ['absmax', 'quant_map', 'nested_absmax', 'nested_quant_map'].map((part) => `.${part}`);
/** The longest description that is read. */
const longestState = 64 * 1024;
const dtypes = { float32: 'F32', float16: 'F16', bfloat16: 'BF16' } as const;
const bytesOf = { F32: 4, F16: 2, BF16: 2 } as const;

/**
 * The weights that bitsandbytes stored in 4 bits (folders named `*-bnb-4bit`) or in 8, by name.
 *
 * Those in 4 bits are dequantized as its `dequantize_4bit` does: an element is its entry of the map, of 16 numbers,
 * times the scale of its block, in f32, rounded to the type that the weight had. Where the scales are themselves
 * quantized (double quantization), a scale is its entry of a map of 256 times the scale of its own block, plus an
 * offset. Blocks run on over the ends of rows; the first of two elements is in the upper half of a byte. (The
 * processor's kernel of bitsandbytes 0.50 begins a block with every row, against what its quantization wrote: the two
 * differ where a row is no whole number of blocks.)
 *
 * Those in 8 bits (LLM.int8()) are a row's greatest size times its numbers over 127, in f32, which is what it was
 * rounded from; bitsandbytes rounds activations as well where it multiplies them, the studio does not.
 *
 * @throws StudioError model_invalid where a description is damaged or does not fit its tensors
 */
export function packedWeights(tensors: StoredTensors): Map<string, PackedWeight> {
  const entries = tensors.names.flatMap((part): [string, PackedWeight][] => {
    if (stateSuffix.test(part)) {
      const name = part.replace(stateSuffix, '');
      return [[name, packedWeight(name, part, tensors)]];
    }
    if (!part.endsWith('.SCB')) return [];
    const name = part.replace(/SCB$/, 'weight');
    return [[name, rowScaledWeight(name, part, tensors)]];
  });
  return new Map(entries);
}

/** A weight in 8 bits, with the greatest size of each row beside it. */
function rowScaledWeight(name: string, scales: string, tensors: StoredTensors): PackedWeight {
  const [weight, sizes] = [tensors.info(name), tensors.info(scales)!];
  const [rows = 0, columns = 0, ...more] = weight?.shape ?? [];
  if (weight?.dtype !== 'I8' || columns === 0 || more.length > 0)
    throw damaged(name, weight ? `it is ${weight.dtype}[${weight.shape.join()}]` : 'it is missing', 8);
  if (sizes.dtype !== 'F32' || sizes.shape.length !== 1 || sizes.shape[0] !== rows)
    throw damaged(name, `${scales} is ${sizes.dtype}[${sizes.shape.join()}], and F32[${rows}] is needed`, 8);
  const format = `${name}_format`;
  const order = tensors.info(format) && tensors.readRange(format, 0, 1)[0];
  if (order)
    throw new StudioError(
      'model_unsupported',
      `The weight ${name} is stored in 8 bits by bitsandbytes in the order ${order} of a kind of card (${format}); only rows one after the other are read.`,
      'Save the model again with a newer bitsandbytes, or choose the unquantized model that it was made from.',
    );
  return {
    info: { ...weight, dtype: 'F32', byteLength: 4 * rows * columns },
    type: 'INT8',
    parts: [scales, ...(order === null ? [] : [format])],
    nf4Scales: null,
    readNf4: () => null,
    readRange(begin, end) {
      const [from, to] = [Math.floor(begin / 4), Math.ceil(end / 4)];
      const [firstRow, lastRow] = [Math.floor(from / columns), Math.ceil(to / columns)];
      const greatest = asFloat32(tensors.readRange(scales, 4 * firstRow, 4 * lastRow), 'F32');
      const bytes = tensors.readRange(name, from, to);
      const numbers = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
      const values = new Float32Array(to - from);
      for (let i = 0; i < values.length; i++)
        values[i] = Math.fround(numbers[i]! * greatest[Math.floor((from + i) / columns) - firstRow]!) / 127;
      return asStored(values, 'F32').subarray(begin - 4 * from, end - 4 * from);
    },
  };
}

function packedWeight(name: string, stateName: string, tensors: StoredTensors): PackedWeight {
  const state = readState(name, stateName, tensors);
  if (!stateName.endsWith(state.quant_type))
    throw damaged(name, `${stateName} describes it as ${state.quant_type}`);
  const count = state.shape.reduce((product, size) => product * size, 1);
  const expect = (suffix: string, dtype: string, length: number) => {
    const full = `${name}${suffix}`;
    const info = tensors.info(full);
    const elements = info?.shape.reduce((product, size) => product * size, 1);
    if (info?.dtype !== dtype || elements !== length)
      throw damaged(
        name,
        info
          ? `${full} is ${info.dtype}[${info.shape.join()}], and ${dtype}[${length}] is needed`
          : `${full} is missing`,
      );
    return full;
  };
  const storage = tensors.info(name)?.dtype;
  if (storage !== undefined && storage !== 'U8')
    throw new StudioError(
      'model_unsupported',
      `The weight ${name} is stored in 4 bits by bitsandbytes, several of them in a number of type ${storage} (bnb_4bit_quant_storage).`,
      'Choose a folder that stores them as bytes (uint8, the default), or the unquantized model.',
    );
  const packed = expect('', 'U8', Math.ceil(count / 2));
  const blocks = Math.ceil(count / state.blocksize);
  const isNested = state.nested_blocksize !== undefined;
  const map = expect('.quant_map', 'F32', 16);
  const scales = expect('.absmax', isNested ? 'U8' : 'F32', blocks);
  const nested = isNested && {
    map: expect('.nested_quant_map', 'F32', 256),
    scales: expect('.nested_absmax', 'F32', Math.ceil(blocks / state.nested_blocksize!)),
  };
  const dtype = dtypes[state.dtype];
  const info: TensorInfo = {
    name,
    dtype,
    shape: state.shape,
    byteOffset: tensors.info(name)!.byteOffset,
    byteLength: count * bytesOf[dtype],
  };
  const floats = (of: string, begin = 0, end = tensors.info(of)!.byteLength / 4) =>
    asFloat32(tensors.readRange(of, 4 * begin, 4 * end), 'F32');

  /** The scales of blocks begin..end. */
  function scalesOf(begin: number, end: number): Float32Array {
    if (!nested) return floats(scales, begin, end);
    const { nested_blocksize: size = 1, nested_offset: offset = 0 } = state;
    const first = Math.floor(begin / size);
    const outer = floats(nested.scales, first, Math.ceil(end / size));
    const entries = floats(nested.map);
    const numbers = tensors.readRange(scales, begin, end);
    const made = new Float32Array(end - begin);
    const shift = Math.fround(offset);
    for (let i = 0; i < made.length; i++)
      made[i] = Math.fround(entries[numbers[i]!]! * outer[Math.floor((begin + i) / size) - first]!) + shift;
    return made;
  }

  const isUsual = state.quant_type === 'nf4' && state.blocksize === 64;
  const nf4Scales =
    isUsual && !nested ? 'plain' : isUsual && state.nested_blocksize === 256 ? 'quantized' : null;
  return {
    info,
    nf4Scales,
    type: state.quant_type.toUpperCase(),
    parts: [stateName, ...parts.map((part) => name + part).filter((part) => tensors.info(part) !== null)],
    readNf4() {
      if (nf4Scales === null) return null;
      const whole = (of: string) => tensors.readRange(of, 0, tensors.info(of)!.byteLength);
      return {
        codes: whole(packed),
        scaleCodes: nested ? whole(scales) : null,
        scales: floats(nested ? nested.scales : scales),
        offset: Math.fround(state.nested_offset ?? 0),
        entries: floats(map),
        scaleEntries: nested ? floats(nested.map) : new Float32Array(),
      };
    },
    readRange(begin, end) {
      const size = bytesOf[dtype];
      const [from, to] = [Math.floor(begin / size), Math.ceil(end / size)];
      const firstBlock = Math.floor(from / state.blocksize);
      const blockScales = scalesOf(firstBlock, Math.ceil(to / state.blocksize));
      const entries = floats(map);
      const firstByte = Math.floor(from / 2);
      const bytes = tensors.readRange(packed, firstByte, Math.ceil(to / 2));
      const values = new Float32Array(to - from);
      for (let i = 0; i < values.length; i++) {
        const at = from + i;
        const byte = bytes[(at >> 1) - firstByte]!;
        const entry = at & 1 ? byte & 15 : byte >> 4;
        values[i] = entries[entry]! * blockScales[Math.floor(at / state.blocksize) - firstBlock]!;
      }
      return asStored(values, dtype).subarray(begin - from * size, end - from * size);
    },
  };
}

function readState(name: string, stateName: string, tensors: StoredTensors): State {
  const { byteLength, dtype } = tensors.info(stateName)!;
  if (dtype !== 'U8' || byteLength > longestState)
    throw damaged(name, `${stateName} is ${dtype} of ${byteLength} bytes, and no description`);
  try {
    const text = Buffer.from(tensors.readRange(stateName, 0, byteLength)).toString('utf8');
    const state = stateSchema.parse(JSON.parse(text));
    if (!Number.isSafeInteger(state.shape.reduce((product, size) => product * size, 1)))
      throw new RangeError(`its shape is [${state.shape.join()}]`);
    return state;
  } catch (error) {
    const what =
      error instanceof z.ZodError
        ? error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ')
        : String(error);
    throw damaged(name, `${stateName} cannot be read: ${what}`);
  }
}

function damaged(name: string, what: string, bits = 4): StudioError {
  return new StudioError(
    'model_invalid',
    `The weight ${name} is stored in ${bits} bits by bitsandbytes, and what describes it does not fit: ${what}.`,
    'Fetch the model again, or choose the unquantized model that it was made from.',
  );
}
