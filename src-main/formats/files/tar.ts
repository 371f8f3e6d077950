import { StudioError } from '../../contract/errors.ts';

/**
 * Archives of plain files in the tar format (POSIX ustar), written and read as streams. Of what tar can hold no more is
 * read than what is written here: plain files under relative names. Links, folders, devices, absolute names and names
 * that lead elsewhere are refused, whatever they point to.
 */
const blockBytes = 512;
const longestName = 100;
/** Sizes that eleven octal digits can say; larger ones are written in base 256. */
const mostOctal = 8 ** 11 - 1;

/** The two empty blocks that end an archive. */
export const tarEnd = Buffer.alloc(2 * blockBytes);

/** Zeros that fill the last block of a file of so many bytes. */
export function tarPadding(size: number): Buffer {
  return Buffer.alloc((blockBytes - (size % blockBytes)) % blockBytes);
}

/** Bytes that a file takes in an archive. */
export function tarredBytes(size: number): number {
  return blockBytes + size + tarPadding(size).length;
}

/** What stands before a file's bytes. */
export function tarHeader(name: string, size: number): Buffer {
  if (Buffer.byteLength(name) > longestName) throw new Error(`the name ${name} is too long for an archive`);
  const block = Buffer.alloc(blockBytes);
  block.write(name, 0);
  block.write('0000644\0', 100);
  block.write('0000000\0', 108);
  block.write('0000000\0', 116);
  if (size <= mostOctal) block.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  else {
    block[124] = 0x80;
    block.writeBigUInt64BE(BigInt(size), 128);
  }
  block.write('00000000000\0', 136);
  block.write('0', 156);
  block.write('ustar\x0000', 257);
  block.write(`${checksum(block).toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

function checksum(block: Buffer): number {
  // Counted as if the checksum itself were spaces.
  return block.reduce((sum, byte, at) => sum + (at >= 148 && at < 156 ? 0x20 : byte), 0);
}

/** A file of an archive. Its content is to be read before the next file is asked for. */
export interface TarFile {
  name: string;
  size: number;
  content: AsyncGenerator<Buffer>;
}

/** @throws StudioError archive_invalid */
export function archiveInvalid(what: string): StudioError {
  return new StudioError(
    'archive_invalid',
    `The archive ${what}.`,
    'Nothing of it was taken in. Copy it from where it was made once more, or export the project anew.',
  );
}

const types: Readonly<Record<string, string>> = {
  '1': 'a link',
  '2': 'a symbolic link',
  '3': 'a device',
  '4': 'a device',
  '5': 'a folder',
  '6': 'a pipe',
};

/**
 * The files of an archive one after another.
 * @param parts its bytes
 * @throws StudioError archive_invalid where it is cut off, damaged, or holds anything but plain files
 */
export async function* readTar(parts: AsyncIterable<Buffer>): AsyncGenerator<TarFile> {
  const source = parts[Symbol.asyncIterator]();
  let rest: Buffer = Buffer.alloc(0);
  /** The next bytes, at most so many; empty at the end. */
  async function some(most: number): Promise<Buffer> {
    if (rest.length === 0) {
      const next = await source.next();
      if (next.done) return Buffer.alloc(0);
      rest = next.value;
    }
    const taken = rest.subarray(0, most);
    rest = rest.subarray(taken.length);
    return taken;
  }
  async function exactly(count: number): Promise<Buffer> {
    const found: Buffer[] = [];
    let length = 0;
    while (length < count) {
      const part = await some(count - length);
      if (part.length === 0) throw archiveInvalid('is cut off: its end is missing');
      // What the source gives may be overwritten by what it gives next.
      found.push(Buffer.from(part));
      length += part.length;
    }
    return Buffer.concat(found);
  }
  try {
    for (;;) {
      const block = await exactly(blockBytes);
      if (block.every((byte) => byte === 0)) break;
      const { name, size } = readHeader(block);
      let left = size;
      async function* content(): AsyncGenerator<Buffer> {
        while (left > 0) {
          const part = await some(left);
          if (part.length === 0) throw archiveInvalid(`is cut off in ${name}: its end is missing`);
          left -= part.length;
          yield part;
        }
      }
      yield { name, size, content: content() };
      if (left > 0) throw new Error(`${name} was not read to its end`);
      await exactly(tarPadding(size).length);
    }
    const second = await exactly(blockBytes);
    if (!second.every((byte) => byte === 0) || (await some(1)).length > 0)
      throw archiveInvalid('goes on behind its end');
  } finally {
    // The file that the parts come from is closed however this ends.
    await source.return?.(undefined);
  }
}

function readHeader(block: Buffer): { name: string; size: number } {
  const text = (from: number, length: number) => {
    const field = block.subarray(from, from + length);
    const end = field.indexOf(0);
    return field.subarray(0, end < 0 ? length : end).toString('utf8');
  };
  if (text(257, 5) !== 'ustar' || parseInt(text(148, 8), 8) !== checksum(block))
    throw archiveInvalid('is damaged, or no archive of a project');
  const name = text(0, longestName);
  const shown = JSON.stringify(name.slice(0, 80));
  const type = String.fromCharCode(block[156]!);
  if (type !== '0')
    throw archiveInvalid(`holds ${types[type] ?? `an entry of type ${JSON.stringify(type)}`}, ${shown}`);
  const isPlain =
    text(345, 155) === '' &&
    !/[\\:\u0000-\u001f\u007f]/.test(name) &&
    name.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
  if (!isPlain) throw archiveInvalid(`names the file ${shown}, which leads out of its folder`);
  const size = block[124] === 0x80 ? Number(block.readBigUInt64BE(128)) : parseInt(text(124, 12), 8);
  if (!Number.isSafeInteger(size) || size < 0) throw archiveInvalid(`gives no size for ${shown}`);
  return { name, size };
}
