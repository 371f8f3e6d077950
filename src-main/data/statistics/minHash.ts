import { createRandom } from '../../statistics/random.ts';

/**
 * Near duplicates by MinHash (Broder 1997) over shingles of five words, found through bands of the signature (locality
 * sensitive hashing). Two rows count as near duplicates where their signatures agree in at least `leastAgreement` of
 * their places, which estimates the Jaccard index of their shingles.
 */
const hashes = 64;
const rowsPerBand = 4;
const shingleWords = 5;
export const leastAgreement = 0.8;

/** Compares rows by what they say; rows are named by the numbers that they are added with. */
export interface NearDuplicates {
  add(row: number, text: string): void;
  /** Rows that are near duplicates of an earlier one, in the order in which they were added. */
  found(): number[];
}

export function createNearDuplicates(): NearDuplicates {
  const random = createRandom(0x13d1);
  const factors = Uint32Array.from({ length: hashes }, () => (random.integer(2 ** 31) << 1) | 1);
  const offsets = Uint32Array.from({ length: hashes }, () => random.integer(2 ** 32));
  const signatures: Uint32Array[] = [];
  /** By band and its values: the first row that had them, which stands for all that came after it. */
  const buckets = new Map<number, number>();
  const found: number[] = [];

  const signatureOf = (text: string): Uint32Array | null => {
    const words = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
    if (words.length < shingleWords) return null;
    const signature = new Uint32Array(hashes).fill(0xffffffff);
    for (let at = 0; at + shingleWords <= words.length; at++) {
      const shingle = hashOf(words, at, shingleWords);
      for (let i = 0; i < hashes; i++) {
        const value = (Math.imul(factors[i]!, shingle) + offsets[i]!) >>> 0;
        if (value < signature[i]!) signature[i] = value;
      }
    }
    return signature;
  };

  return {
    add(row, text) {
      const signature = signatureOf(text);
      if (!signature) return;
      const place = signatures.length;
      const candidates = new Set<number>();
      for (let band = 0; band < hashes; band += rowsPerBand) {
        const key = band * 2 ** 32 + mixed(signature, band);
        const other = buckets.get(key);
        if (other === undefined) buckets.set(key, place);
        else candidates.add(other);
      }
      for (const other of candidates)
        if (agreement(signature, signatures[other]!) >= leastAgreement) {
          found.push(row);
          break;
        }
      signatures.push(signature);
    },
    found: () => found,
  };
}

/** The values of a band as one number of 32 bits. */
function mixed(signature: Uint32Array, band: number): number {
  let hash = 0x811c9dc5;
  for (let i = band; i < band + rowsPerBand; i++) {
    hash = Math.imul(hash ^ signature[i]!, 0x01000193);
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  }
  return hash >>> 0;
}

function agreement(one: Uint32Array, other: Uint32Array): number {
  let same = 0;
  for (let i = 0; i < hashes; i++) if (one[i] === other[i]) same++;
  return same / hashes;
}

/** FNV-1a over some words, 32 bits. */
export function hashOf(words: readonly string[], begin: number, count: number): number {
  let hash = 0x811c9dc5;
  for (let at = begin; at < begin + count; at++) {
    const word = words[at]!;
    for (let i = 0; i < word.length; i++) hash = Math.imul(hash ^ word.charCodeAt(i), 0x01000193);
    hash = Math.imul(hash ^ 0x20, 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return (hash ^ (hash >>> 13)) >>> 0;
}
