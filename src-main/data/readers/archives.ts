import { statSync } from 'node:fs';
import { pipeline, Readable, type Transform } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { openPromise, type Entry } from 'yauzl';
import { StudioError } from '../../contract/errors.ts';
import type { ByteSource } from './source.ts';

/** Text packs to a tenth or so; what unpacks to hundreds of times its size is made to fill a disk. */
const mostRatio = 200;
/** So much may come out of anything. */
const harmlessBytes = 256 * 1024 * 1024;
const mostEntries = 100_000;
/** Unpacked at a time: with the 16 KiB that are usual, passing pieces on takes longer than unpacking them. */
const chunkSize = 256 * 1024;

/** What a packed file holds, unpacked as it is read. */
export function unpacked(source: ByteSource, how: 'gzip' | 'zstd', name: string): ByteSource {
  return {
    name,
    path: null,
    async *open() {
      const transform: Transform =
        how === 'gzip' ? createGunzip({ chunkSize }) : createZstdDecompress({ chunkSize });
      let packed = 0;
      const counted = async function* () {
        for await (const piece of source.open()) {
          packed += piece.length;
          yield piece;
        }
      };
      // What goes wrong on the way comes out of the transform.
      pipeline(Readable.from(counted()), transform, () => {});
      let out = 0;
      try {
        for await (const piece of transform as AsyncIterable<Buffer>) {
          out += piece.length;
          checkRatio(source.name, out, packed);
          yield piece;
        }
      } catch (error) {
        throw error instanceof StudioError ? error : damagedArchive(source.name, error);
      } finally {
        transform.destroy();
      }
    },
  };
}

function checkRatio(name: string, out: number, packed: number): void {
  if (out <= harmlessBytes || out <= mostRatio * Math.max(1, packed)) return;
  throw new StudioError(
    'dataset_invalid',
    `${name} unpacks to more than ${mostRatio} times its size (${out} bytes so far): it is no text, or made to fill the disk.`,
    'Unpack it yourself where you trust it, and import what comes out.',
  );
}

function damagedArchive(name: string, error: unknown): StudioError {
  const what = error instanceof Error ? error.message : String(error);
  return new StudioError(
    'dataset_invalid',
    `${name} cannot be unpacked: ${what}.`,
    'Fetch the file again, or unpack it yourself and import what comes out.',
    { cause: error },
  );
}

/**
 * The files in a zip archive, unpacked as they are read; nothing is written.
 * @param onBytes told of packed bytes as they are used up
 * @throws StudioError dataset_invalid for a damaged archive, and for names that lead out of it
 */
export async function zipSources(
  path: string,
  name: string,
  onBytes: (bytes: number) => void,
): Promise<ByteSource[]> {
  const entries: Entry[] = [];
  try {
    const zip = await openPromise(path, { lazyEntries: true, strictFileNames: true });
    for await (const entry of zip.eachEntry()) {
      if (entry.fileName.endsWith('/')) continue;
      entries.push(entry);
      if (entries.length > mostEntries) throw new Error(`it holds more than ${mostEntries} files`);
    }
  } catch (error) {
    throw damagedArchive(name, error);
  }
  const out = entries.reduce((sum, { uncompressedSize }) => sum + uncompressedSize, 0);
  checkRatio(name, out, statSync(path).size);
  return entries.map((entry) => ({
    name: `${name}/${entry.fileName}`,
    path: null,
    async *open() {
      const zip = await openPromise(path, { autoClose: false, strictFileNames: true });
      try {
        const stream = await zip.openReadStreamPromise(entry);
        const share = entry.compressedSize / Math.max(1, entry.uncompressedSize);
        for await (const piece of stream as AsyncIterable<Buffer>) {
          onBytes(piece.length * share);
          yield piece;
        }
      } catch (error) {
        throw damagedArchive(`${name}/${entry.fileName}`, error);
      } finally {
        zip.close();
      }
    },
  }));
}
