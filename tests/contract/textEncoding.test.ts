import { describe, expect, it } from 'vitest';
import { decodeText } from '../../src-main/contract/datasets/textEncoding.ts';

/** "Größe: für" and others, written with Python's codecs (`text.encode(name).hex()`). */
const samples: readonly [encoding: string, hex: string, text: string][] = [
  ['windows-1252', '4772f6df653a206dfc73736967207a7520803320', 'Größe: müssig zu €3 '],
  ['gbk', 'b1b1bea9cac7d6d0b9fab5c4cad7b6bc', '北京是中国的首都'],
  ['big5', 'a578a55fac4fa440ae79b27ba54eaaba', '台北是一座現代的'],
  ['shift_jis', '938c8b9e82cd93fa967b82cc8ef1937382c582b7', '東京は日本の首都です'],
  ['euc-jp', 'c5ecb5fea4cfc6fccbdca4cebcf3c5d4a4c7a4b9', '東京は日本の首都です'],
  ['euc-kr', 'bcadbfefc0ba20b4ebc7d1b9ceb1b9c0c720bcf6b5b5', '서울은 대한민국의 수도'],
  ['windows-1251', 'cceef1eae2e020ffe2ebffe5f2f1ff20f1f2eeebe8f6e5e9', 'Москва является столицей'],
  ['koi8-r', 'edcfd3cbd7c120d1d7ccd1c5d4d3d120d3d4cfccc9c3c5ca', 'Москва является столицей'],
];
const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'));

it.each(samples)(
  '%s is refused with its place and recognized, and read when it is named',
  (encoding, hex, text) => {
    const content = Buffer.concat([Buffer.from('[\n "'), bytes(hex), Buffer.from('"\n]')]);
    const first = content.findIndex((byte) => byte >= 0x80);
    const byte = content[first]!.toString(16).toUpperCase();
    expect(() => decodeText(content)).toThrow(
      `is not UTF-8: byte 0x${byte} at position ${first} (line 2); it is probably ${encoding}`,
    );
    expect(decodeText(content, encoding)).toBe(`[\n "${text}"\n]`);
  },
);

describe('byte order marks', () => {
  const utf16 = Buffer.from('\ufeffGröße €😀', 'utf16le');
  it.each([
    ['UTF-16 LE', utf16],
    ['UTF-16 BE', Buffer.from(utf16).swap16()],
    ['UTF-8', Buffer.from('\ufeffGröße €😀')],
  ])('%s is read without its mark, whatever is named', (_, content) => {
    expect(decodeText(content)).toBe('Größe €😀');
    expect(decodeText(content, 'windows-1252')).toBe('Größe €😀');
  });
  it.each([
    ['utf-16le', Buffer.from('{"a": "Größe"}', 'utf16le')],
    ['utf-16be', Buffer.from('{"a": "Größe"}', 'utf16le').swap16()],
  ])('%s without a mark is recognized, and read when it is named', (encoding, content) => {
    expect(() => decodeText(content)).toThrow(
      expect.objectContaining({
        message: `seems to be ${encoding.toUpperCase()} without a byte order mark`,
        probable: encoding,
      }) as Error,
    );
    expect(decodeText(content, encoding)).toBe('{"a": "Größe"}');
  });
  it('UTF-32 is named', () => {
    expect(() => decodeText(Uint8Array.of(0xff, 0xfe, 0, 0, 0x41, 0, 0, 0))).toThrow('is UTF-32');
  });
});

it('a damaged place in UTF-8 is said to be one, far behind the beginning, too', () => {
  const rest = Buffer.from('Größe: 3 €\n'.repeat(20_000));
  const content = Buffer.concat([rest, Buffer.from('x'), Uint8Array.of(0xe9), Buffer.from('y\n'), rest]);
  expect(() => decodeText(content)).toThrow(
    `is not UTF-8: byte 0xE9 at position ${rest.length + 1} (line 20001); what is around it is UTF-8`,
  );
});

it.each([
  [
    'the middle of a letter at the end',
    Uint8Array.of(0x41, 0xe2, 0x82),
    /ends in the middle of a character of UTF-8/,
  ],
  [
    'a letter that is not continued',
    Uint8Array.of(0x41, 0xe2, 0x82, 0x41),
    /byte 0xE2 at position 1 \(line 1\)/,
  ],
  ['a continuation of nothing', Uint8Array.of(0x41, 0x0a, 0x82, 0x41), /byte 0x82 at position 2 \(line 2\)/],
])('%s is named', (_, content, message) => {
  expect(() => decodeText(content)).toThrow(message);
});

it('an unknown name is refused', () => {
  expect(() => decodeText(Uint8Array.of(0x41), 'ansi-x')).toThrow('no encoding has this name');
});
