import { asFloat32 } from '../files/floats.ts';
import { tensorTypes, type TensorTypeName } from './ggufTypes.ts';

/**
 * Numbers as ggml stores them in blocks: a scale (f16) for a few dozen small integers. Every step is rounded to f32 in
 * the order of ggml's own dequantize_row_* (ggml-quants.c), so that the values are the same bit for bit.
 */

const round = Math.fround;

/** Writes the numbers of the block that begins at byte `from` to `out`, from `to` on. */
type ReadBlock = (block: Block, from: number, out: Float32Array, to: number) => void;

/** The bytes of blocks, and their f16 numbers. */
class Block {
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  half(at: number): number {
    return this.#view.getFloat16(at, true);
  }

  signed(at: number): number {
    return this.#view.getInt8(at);
  }
}

/**
 * Q4 and Q5 of 32 numbers: a scale, with Q4_1 and Q5_1 a least value, with Q5 the fifth bits of all, and a nibble of
 * each: those of the first half below those of the second.
 */
function smallBlock({ bits, hasLeast }: { bits: 4 | 5; hasLeast: boolean }): ReadBlock {
  const centre = 1 << (bits - 1);
  return (block, from, out, to) => {
    const { bytes } = block;
    const scale = block.half(from);
    const least = hasLeast ? block.half(from + 2) : 0;
    const high = from + (hasLeast ? 4 : 2);
    const nibbles = bits === 5 ? high + 4 : high;
    for (let i = 0; i < 32; i++) {
      const byte = bytes[nibbles + (i % 16)]!;
      let value = i < 16 ? byte & 15 : byte >> 4;
      if (bits === 5) value |= ((bytes[high + (i >> 3)]! >> (i & 7)) & 1) << 4;
      out[to + i] = hasLeast ? round(scale * value) + least : scale * (value - centre);
    }
  };
}

/** The scale and the least value (6 bits each) of part `part` of a Q4_K or Q5_K block; its 12 bytes begin at `at`. */
function scaleAndLeast(bytes: Uint8Array, at: number, part: number): [number, number] {
  if (part < 4) return [bytes[at + part]! & 63, bytes[at + 4 + part]! & 63];
  const shared = bytes[at + 4 + part]!;
  return [
    (shared & 15) | ((bytes[at + part - 4]! >> 6) << 4),
    (shared >> 4) | ((bytes[at + part]! >> 6) << 4),
  ];
}

/** Q4_K and Q5_K: 256 numbers in 8 parts, each with a scale and a least value that are themselves scaled. */
function partedBlock(bits: 4 | 5): ReadBlock {
  return (block, from, out, to) => {
    const { bytes } = block;
    const [scale, least] = [block.half(from), block.half(from + 2)];
    const high = from + 16;
    const nibbles = bits === 5 ? high + 32 : high;
    for (let part = 0; part < 8; part++) {
      const [ownScale, ownLeast] = scaleAndLeast(bytes, from + 4, part);
      const factor = round(scale * ownScale);
      const offset = round(least * ownLeast);
      for (let i = 0; i < 32; i++) {
        const byte = bytes[nibbles + 32 * (part >> 1) + i]!;
        let value = part % 2 === 0 ? byte & 15 : byte >> 4;
        if (bits === 5) value |= ((bytes[high + i]! >> part) & 1) << 4;
        out[to + 32 * part + i] = round(factor * value) - offset;
      }
    }
  };
}

const readBlocks: Readonly<Record<Exclude<TensorTypeName, 'F32' | 'F16' | 'BF16'>, ReadBlock>> = {
  Q4_0: smallBlock({ bits: 4, hasLeast: false }),
  Q4_1: smallBlock({ bits: 4, hasLeast: true }),
  Q5_0: smallBlock({ bits: 5, hasLeast: false }),
  Q5_1: smallBlock({ bits: 5, hasLeast: true }),
  Q8_0(block, from, out, to) {
    const scale = block.half(from);
    for (let i = 0; i < 32; i++) out[to + i] = scale * block.signed(from + 2 + i);
  },
  /** 16 parts of 16 numbers of two bits; four bits each of their scales and least values. */
  Q2_K(block, from, out, to) {
    const { bytes } = block;
    const [scale, least] = [block.half(from + 80), block.half(from + 82)];
    for (let i = 0; i < 256; i++) {
      const own = bytes[from + (i >> 4)]!;
      const byte = bytes[from + 16 + 32 * (i >> 7) + (i & 31)]!;
      const value = (byte >> (2 * ((i >> 5) & 3))) & 3;
      out[to + i] = round(round(scale * (own & 15)) * value) - round(least * (own >> 4));
    }
  },
  /** 16 parts of 16 numbers of three bits, the highest of which lies apart; six bits of each scale. */
  Q3_K(block, from, out, to) {
    const { bytes } = block;
    const scale = block.half(from + 108);
    for (let i = 0; i < 256; i++) {
      const part = i >> 4;
      const low = bytes[from + 96 + (part & 7)]! >> (part < 8 ? 0 : 4);
      const high = bytes[from + 104 + (part & 3)]! >> (2 * (part >> 2));
      const own = ((low & 15) | ((high & 3) << 4)) - 32;
      const byte = bytes[from + 32 + 32 * (i >> 7) + (i & 31)]!;
      const isHigh = (bytes[from + (i & 31)]! >> (i >> 5)) & 1;
      const value = ((byte >> (2 * ((i >> 5) & 3))) & 3) - (isHigh ? 0 : 4);
      out[to + i] = round(scale * own) * value;
    }
  },
  Q4_K: partedBlock(4),
  Q5_K: partedBlock(5),
  /** 16 parts of 16 numbers of six bits, the highest two of which lie apart; a signed byte for each scale. */
  Q6_K(block, from, out, to) {
    const { bytes } = block;
    const scale = block.half(from + 208);
    for (let i = 0; i < 256; i++) {
      const half = i >> 7;
      const quarter = (i >> 5) & 3;
      const nibbles = bytes[from + 64 * half + 32 * (quarter & 1) + (i & 31)]!;
      const high = bytes[from + 128 + 32 * half + (i & 31)]! >> (2 * quarter);
      const value = ((quarter < 2 ? nibbles & 15 : nibbles >> 4) | ((high & 3) << 4)) - 32;
      out[to + i] = round(scale * block.signed(from + 192 + (i >> 4))) * value;
    }
  },
};

/** Stored numbers as f32. @param bytes whole blocks */
export function dequantized(bytes: Uint8Array, type: TensorTypeName): Float32Array {
  if (type === 'F32' || type === 'F16' || type === 'BF16') return asFloat32(bytes, type);
  const { blockLength, blockBytes } = tensorTypes[type];
  const count = bytes.byteLength / blockBytes;
  const out = new Float32Array(count * blockLength);
  const block = new Block(bytes);
  const read = readBlocks[type];
  for (let i = 0; i < count; i++) read(block, i * blockBytes, out, i * blockLength);
  return out;
}
