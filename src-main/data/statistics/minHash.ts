import { createRandom } from '../../statistics/random.ts';

/**
 * Near duplicates by MinHash (Broder 1997) over shingles of five words, found through bands of the signature (locality
 * sensitive hashing). Two rows count as near duplicates where their signatures agree in at least `leastAgreement` of
 * their places, which estimates the Jaccard index of their shingles.
 */
const hashes = 64;
const rowsPerBand = 4;
const bandCount = hashes / rowsPerBand;
const shingleWords = 5;
export const leastAgreement = 0.8;

export interface NearDuplicate {
  row: number;
  /** The earlier row that it agrees with most. */
  of: number;
}

/** Compares rows by what they say; rows are named by the numbers that they are added with. */
export interface NearDuplicates {
  add(row: number, text: string): void;
  /** Rows that are near duplicates of an earlier one, in the order in which they were added. */
  found(): NearDuplicate[];
}

export function createNearDuplicates(): NearDuplicates {
  const random = createRandom(0x13d1);
  const factors = Uint32Array.from({ length: hashes }, () => (random.integer(2 ** 31) << 1) | 1);
  const offsets = Uint32Array.from({ length: hashes }, () => random.integer(2 ** 32));
  const signatures = new Signatures();
  const bands = new BandTable(signatures);
  const found: NearDuplicate[] = [];
  /** The row of each signature. */
  const rows = new RowNumbers();
  const least = new Uint32Array(hashes);
  const signature = new Uint16Array(hashes);

  /** Whether the text has a signature: it then stands in `signature`. */
  const sign = (text: string): boolean => {
    const words = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
    if (words.length < shingleWords) return false;
    least.fill(0xffffffff);
    for (let at = 0; at + shingleWords <= words.length; at++) {
      const shingle = hashOf(words, at, shingleWords);
      for (let i = 0; i < hashes; i++) {
        const value = (Math.imul(factors[i]!, shingle) + offsets[i]!) >>> 0;
        if (value < least[i]!) least[i] = value;
      }
    }
    for (let i = 0; i < hashes; i++) signature[i] = least[i]! ^ (least[i]! >>> 16);
    return true;
  };

  return {
    add(row, text) {
      if (!sign(text)) return;
      const place = signatures.push(signature);
      rows.push(row);
      const candidates = new Set<number>();
      for (let band = 0; band < hashes; band += rowsPerBand) {
        const other = bands.firstWith(place, band);
        if (other !== place) candidates.add(other);
      }
      let [most, like] = [0, -1];
      for (const other of candidates) {
        const agreement = signatures.agreement(place, other);
        if (agreement < leastAgreement || agreement < most || (agreement === most && other > like)) continue;
        [most, like] = [agreement, other];
      }
      if (like >= 0) found.push({ row, of: rows.at(like) });
    },
    found: () => found,
  };
}

/** Numbers of rows by the places of their signatures: an array of a million numbers would grow by copying. */
class RowNumbers {
  readonly #chunks: Uint32Array[] = [];
  #length = 0;
  push(row: number): void {
    if (this.#length % chunkRows === 0) this.#chunks.push(new Uint32Array(chunkRows));
    this.#chunks.at(-1)![this.#length++ % chunkRows] = row;
  }
  at(place: number): number {
    return this.#chunks[Math.floor(place / chunkRows)]![place % chunkRows]!;
  }
}

/** So many signatures lie side by side. */
const chunkRows = 16_384;

/**
 * Signatures of all rows, 16 bits a place: that two differ and look alike there has a chance of 1 in 65,536 (Li and
 * Koenig 2010, b-bit minwise hashing).
 */
class Signatures {
  readonly #chunks: Uint16Array[] = [];
  length = 0;

  /** @returns its place */
  push(signature: Uint16Array): number {
    const place = this.length++;
    if (place % chunkRows === 0) this.#chunks.push(new Uint16Array(chunkRows * hashes));
    this.#chunks.at(-1)!.set(signature, (place % chunkRows) * hashes);
    return place;
  }

  /** Share of the places in which two agree. */
  agreement(one: number, other: number): number {
    const [a, b] = [this.#chunkOf(one), this.#chunkOf(other)];
    const [from, to] = [beginOf(one), beginOf(other)];
    let same = 0;
    for (let i = 0; i < hashes; i++) if (a[from + i] === b[to + i]) same++;
    return same / hashes;
  }

  /** Whether two agree in a whole band. */
  isSameBand(one: number, other: number, band: number): boolean {
    const [a, b] = [this.#chunkOf(one), this.#chunkOf(other)];
    const [from, to] = [beginOf(one) + band, beginOf(other) + band];
    for (let i = 0; i < rowsPerBand; i++) if (a[from + i] !== b[to + i]) return false;
    return true;
  }

  /** A band and its values as one number of 32 bits. */
  mixed(place: number, band: number): number {
    const chunk = this.#chunkOf(place);
    const from = beginOf(place) + band;
    let hash = Math.imul(0x811c9dc5 ^ band, 0x01000193);
    for (let i = 0; i < rowsPerBand; i++) {
      hash = Math.imul(hash ^ chunk[from + i]!, 0x01000193);
      hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    }
    return (hash ^ (hash >>> 13)) >>> 0;
  }

  #chunkOf(place: number): Uint16Array {
    return this.#chunks[Math.floor(place / chunkRows)]!;
  }
}

function beginOf(place: number): number {
  return (place % chunkRows) * hashes;
}

/**
 * By band and its values the first row that had them, which stands for all that came after it: places alone, with open
 * addressing, as entries of a Map would take most of the memory.
 */
class BandTable {
  readonly #signatures: Signatures;
  /** Place + 1, and above it which of the bands; 0: empty. */
  #slots = new Uint32Array(2 ** 16);
  #used = 0;

  constructor(signatures: Signatures) {
    this.#signatures = signatures;
  }

  /** The first place with the band of this one: itself where it is the first. */
  firstWith(place: number, band: number): number {
    if (2 * (this.#used + 1) > this.#slots.length) this.#grow();
    return this.#put(place, band);
  }

  #put(place: number, band: number): number {
    const mask = this.#slots.length - 1;
    const entry = (place + 1) * bandCount + band / rowsPerBand;
    for (let slot = this.#signatures.mixed(place, band) & mask; ; slot = (slot + 1) & mask) {
      const held = this.#slots[slot]!;
      if (held === 0) {
        this.#slots[slot] = entry;
        this.#used++;
        return place;
      }
      if (held % bandCount !== band / rowsPerBand) continue;
      const other = Math.floor(held / bandCount) - 1;
      if (this.#signatures.isSameBand(place, other, band)) return other;
    }
  }

  #grow(): void {
    const before = this.#slots;
    this.#slots = new Uint32Array(2 * before.length);
    this.#used = 0;
    for (const held of before)
      if (held !== 0) this.#put(Math.floor(held / bandCount) - 1, (held % bandCount) * rowsPerBand);
  }
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
