import { crc32, deflateRawSync } from 'node:zlib';

/** A zip archive of some files, whatever they are called. A content that several have is packed once. */
export function zipOf(files: Record<string, string | Uint8Array>): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  const known = new Map<string | Uint8Array, { packed: Buffer; checksum: number; length: number }>();
  const pack = (content: string | Uint8Array) => {
    const bytes = Buffer.from(content);
    return { packed: deflateRawSync(bytes), checksum: crc32(bytes), length: bytes.length };
  };
  let offset = 0;
  for (const [name, content] of Object.entries(files)) {
    const found = known.get(content) ?? pack(content);
    known.set(content, found);
    const { packed, checksum, length } = found;
    const shared = Buffer.alloc(26);
    shared.writeUInt16LE(20, 0);
    shared.writeUInt16LE(0x800, 2);
    shared.writeUInt16LE(8, 4);
    shared.writeUInt32LE(checksum, 10);
    shared.writeUInt32LE(packed.length, 14);
    shared.writeUInt32LE(length, 18);
    shared.writeUInt16LE(Buffer.byteLength(name), 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), shared, Buffer.from(name), packed]);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(offset, 10);
    directory.push(
      Buffer.concat([Buffer.from('PK\x01\x02'), Buffer.from([20, 0]), shared, rest, Buffer.from(name)]),
    );
    parts.push(local);
    offset += local.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(directory.length, 4);
  end.writeUInt16LE(directory.length, 6);
  end.writeUInt32LE(central.length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...parts, central, Buffer.from('PK\x05\x06'), end]);
}
