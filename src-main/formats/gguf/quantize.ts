import type { DecoderConfig } from '../families/decoderConfig.ts';
import { asStored } from '../files/floats.ts';
import { ggufArchitecture } from './architecture.ts';
import { bytesOf, tensorTypes, type TensorTypeName } from './ggufTypes.ts';
import { writePartedBlock, writeSixBitBlock } from './kBlocks.ts';

/** The types that the studio writes. */
export type WrittenType = Exclude<TensorTypeName, 'Q4_0' | 'Q4_1' | 'Q2_K' | 'Q3_K'>;
type BlockType = Exclude<WrittenType, 'F32' | 'F16' | 'BF16'>;

const { fround: round, abs } = Math;

/** Writes the block of numbers that begins at `at` to the bytes that begin at `to`, which are zeros. */
type WriteBlock = (x: Float32Array, at: number, out: DataView, to: number) => void;

/** Q8_0: d = max |x| / 127 of 32 numbers, stored as f16, and x / d rounded to nearest, ties away from 0. */
const writeEightBits: WriteBlock = (x, at, out, to) => {
  let most = 0;
  for (let i = at; i < at + 32; i++) if (abs(x[i]!) > most) most = abs(x[i]!);
  const scale = round(most / 127);
  const inverse = scale === 0 ? 0 : round(1 / scale);
  out.setFloat16(to, scale, true);
  for (let i = 0; i < 32; i++) {
    const value = round(x[at + i]! * inverse);
    out.setInt8(to + 2 + i, value + (value < 0 ? -0.5 : 0.5));
  }
};

/** Of 32 levels of five bits the lower four, two in a byte, from `to + 4` on, and the fifth ones at `to`. */
function writeFiveBits(out: DataView, to: number, levelOf: (i: number) => number): void {
  let fifth = 0;
  for (let i = 0; i < 16; i++) {
    const [one, other] = [levelOf(i), levelOf(i + 16)];
    out.setUint8(to + 4 + i, (one & 15) | ((other & 15) << 4));
    fifth |= (((one >> 4) & 1) << i) | (((other >> 4) & 1) << (i + 16));
  }
  out.setInt32(to, fifth, true);
}

/** Q5_0: d = the number farthest from zero / -16, and x / d + 16 rounded to nearest. */
const writeCentredFive: WriteBlock = (x, at, out, to) => {
  let [greatest, size] = [0, 0];
  for (let i = at; i < at + 32; i++) if (size < abs(x[i]!)) [size, greatest] = [abs(x[i]!), x[i]!];
  const scale = round(greatest / -16);
  const inverse = scale === 0 ? 0 : round(1 / scale);
  out.setFloat16(to, scale, true);
  writeFiveBits(out, to + 2, (i) => Math.min(31, Math.trunc(round(round(x[at + i]! * inverse) + 16.5))));
};

/** Q5_1: a least value, and d = the range / 31. */
const writeOffsetFive: WriteBlock = (x, at, out, to) => {
  let [least, greatest] = [x[at]!, x[at]!];
  for (let i = at; i < at + 32; i++) {
    if (x[i]! < least) least = x[i]!;
    if (x[i]! > greatest) greatest = x[i]!;
  }
  const scale = round(round(greatest - least) / 31);
  const inverse = scale === 0 ? 0 : round(1 / scale);
  out.setFloat16(to, scale, true);
  out.setFloat16(to + 2, least, true);
  writeFiveBits(out, to + 4, (i) => Math.trunc(round(round(round(x[at + i]! - least) * inverse) + 0.5)));
};

const writeBlocks: Readonly<Record<BlockType, WriteBlock>> = {
  Q8_0: writeEightBits,
  Q5_0: writeCentredFive,
  Q5_1: writeOffsetFive,
  Q4_K: (x, at, out, to) => writePartedBlock(x, at, out, to, 4),
  Q5_K: (x, at, out, to) => writePartedBlock(x, at, out, to, 5),
  Q6_K: writeSixBitBlock,
};

/** f32 numbers as they are stored, rounded as llama.cpp rounds them, bit for bit. @param values whole blocks */
export function quantized(values: Float32Array, type: WrittenType): Uint8Array {
  if (type === 'F32' || type === 'F16' || type === 'BF16') return asStored(values, type);
  const { blockLength, blockBytes } = tensorTypes[type];
  const out = new Uint8Array(bytesOf(type, values.length));
  const view = new DataView(out.buffer);
  const write = writeBlocks[type];
  for (let at = 0, to = 0; at < values.length; at += blockLength, to += blockBytes)
    write(values, at, view, to);
  return out;
}

/** What llama.cpp takes where rows of a type would fill no blocks. */
const widerTypes: Partial<Record<WrittenType, WrittenType>> = { Q4_K: 'Q5_0', Q5_K: 'Q5_1', Q6_K: 'Q8_0' };

/**
 * In which type `llama-quantize` stores a matrix in a file of the kind Q4_K_M: Q4_K; Q6_K for the output layer, and for
 * attention's values and the MLP's way back in the first and last eighth of the layers and in every third between.
 * @param name in the file @param columns length of its rows
 */
export function mixedType(
  { name, columns }: { name: string; columns: number },
  config: DecoderConfig,
): WrittenType {
  const type = intendedType(name, columns, config);
  if (columns % tensorTypes[type].blockLength === 0) return type;
  const wider = widerTypes[type];
  return wider && columns % tensorTypes[wider].blockLength === 0 ? wider : 'F16';
}

function intendedType(name: string, columns: number, config: DecoderConfig): WrittenType {
  const isOutput = name === (config.tieEmbeddings ? 'token_embd.weight' : 'output.weight');
  if (isOutput) return columns % tensorTypes.Q4_K.blockLength === 0 ? 'Q6_K' : 'Q8_0';
  const [, number, module] = /^blk\.(\d+)\.(attn_v|attn_qkv|ffn_down)\.weight$/.exec(name) ?? [];
  if (number === undefined) return 'Q4_K';
  if (hasMoreBits(Number(number), config.layers)) return 'Q6_K';
  return module !== 'ffn_down' && isSeventyBillion(config) ? 'Q5_K' : 'Q4_K';
}

function hasMoreBits(layer: number, layers: number): boolean {
  const eighth = Math.floor(layers / 8);
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2;
}

/** Llama and Qwen 2 with 80 layers: eight heads share the values, which take more bits there. */
function isSeventyBillion(config: DecoderConfig): boolean {
  if (config.layers !== 80) return false;
  const { name } = ggufArchitecture(config);
  return name === 'qwen2' || (name === 'llama' && config.heads !== config.keyValueHeads);
}
