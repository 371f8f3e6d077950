import { bytesPerCall } from '../files/atomicFile.ts';
import type { TensorInfo } from '../files/safetensors.ts';
import type { DecoderConfig } from '../families/decoderConfig.ts';
import { decoderConfigOf } from '../families/decoderConfigOf.ts';
import { dequantized } from './blocks.ts';
import { configOfGguf } from './ggufConfig.ts';
import { GgufFile, type GgufTensorInfo } from './ggufFile.ts';
import { tensorTypes } from './ggufTypes.ts';
import { huggingFaceName, reordered, tensorPlace, type TensorPlace } from './tensorPlaces.ts';

interface Place {
  stored: GgufTensorInfo;
  place: TensorPlace;
}

/**
 * The weights of a GGUF file as those of a Hugging Face model in f32: dequantized as they are read, rows of q and k in
 * their order, Gemma's norms without their 1. Nothing but what is asked for lies in memory.
 */
export class GgufWeights {
  readonly path: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly config: DecoderConfig;
  readonly #file: GgufFile;
  readonly #places = new Map<string, Place>();

  /** @throws StudioError model_invalid, model_unsupported */
  constructor(path: string) {
    this.path = path;
    this.#file = new GgufFile(path, 'model_invalid');
    try {
      this.config = decoderConfigOf(configOfGguf(this.#file));
      const tensors = new Map<string, TensorInfo>();
      for (const stored of this.#file.tensors.values()) {
        const name = huggingFaceName(this.config, stored.name);
        if (name === null) continue;
        this.#places.set(name, { stored, place: tensorPlace(this.config, name) });
        const count = stored.shape.reduce((product, size) => product * size, 1);
        // The offset is that of the stored bytes: these have another length.
        const { shape, byteOffset } = stored;
        tensors.set(name, { name, dtype: 'F32', shape, byteOffset, byteLength: 4 * count });
      }
      this.tensors = tensors;
    } catch (error) {
      this.#file.close();
      throw error;
    }
  }

  /** In which types numbers are stored, the most frequent first, for example `GGUF Q4_K 84 %, Q6_K 16 %`. */
  get quantization(): string {
    const counts = new Map<string, number>();
    let total = 0;
    for (const { stored } of this.#places.values()) {
      const count = stored.shape.reduce((product, size) => product * size, 1);
      counts.set(stored.type, (counts.get(stored.type) ?? 0) + count);
      total += count;
    }
    const parts = [...counts]
      .sort(([, a], [, b]) => b - a)
      .map(([type, count]) => [type, (100 * count) / total] as const);
    const shown = parts.filter(([, percent], i) => i === 0 || percent >= 0.5);
    return `GGUF ${shown.map(([type, percent]) => `${type} ${percent.toFixed(0)} %`).join(', ')}`;
  }

  read(name: string): Uint8Array {
    const info = this.tensors.get(name);
    if (!info) throw new Error(`${this.path} has no tensor ${name}`);
    return this.readRange(name, 0, info.byteLength);
  }

  /** Bytes begin..end of a tensor in f32. */
  readRange(name: string, begin: number, end: number): Uint8Array {
    const info = this.tensors.get(name);
    if (!info || begin < 0 || end < begin || end > info.byteLength)
      throw new Error(`${this.path}: bytes ${begin}..${end} of ${name} do not exist`);
    const { stored, place } = this.#places.get(name)!;
    const rowLength = info.shape.length > 1 ? info.shape.at(-1)! : 1;
    // What can be read alone: whole heads where rows are reordered, else whole blocks.
    const unit = place.headDim === null ? tensorTypes[stored.type].blockLength : place.headDim * rowLength;
    const out = new Uint8Array(end - begin);
    const step = Math.max(1, Math.floor(bytesPerCall / 16 / (4 * unit))) * unit;
    for (let at = Math.floor(begin / 4 / unit) * unit; 4 * at < end; at += step) {
      const last = Math.min(info.byteLength / 4, at + step, Math.ceil(end / 4 / unit) * unit);
      const values = this.#values({ stored, place }, { from: at, to: last, rowLength });
      const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      const from = Math.max(begin, 4 * at);
      out.set(bytes.subarray(from - 4 * at, Math.min(end, 4 * last) - 4 * at), from - begin);
    }
    return out;
  }

  #values(
    { stored, place }: Place,
    { from, to, rowLength }: { from: number; to: number; rowLength: number },
  ): Float32Array {
    const { blockLength, blockBytes } = tensorTypes[stored.type];
    const [first, last] = [(from / blockLength) * blockBytes, (to / blockLength) * blockBytes];
    const values = dequantized(this.#file.readRange(stored.name, first, last), stored.type);
    if (place.headDim !== null)
      return reordered(values, { headDim: place.headDim, rowLength, direction: 'fromFile' });
    return place.offset === 0 ? values : values.map((value) => value - place.offset);
  }

  close(): void {
    this.#file.close();
  }
}
