import type { StoredNf4 } from '../../formats/model/bitsandbytes.ts';

/** Where weights come from: a Hugging Face folder (formats/model/weightFolder.ts) or memory. */
export interface WeightSource {
  /** Null where the tensor does not exist. */
  info(name: string): { dtype: string; shape: readonly number[] } | null;
  read(name: string): Uint8Array;
  /** Whether the blocks of a weight that is stored in NF4 have scales in f32 or quantized ones. */
  nf4Scales?(name: string): 'plain' | 'quantized' | null;
  /** A weight that is stored in NF4, as it is; absent or null: it is stored in another way. */
  readNf4?(name: string): StoredNf4 | null;
}
