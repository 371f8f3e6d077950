import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { licenceOfCard, readLicence } from '../../../src-main/formats/model/licence.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

it.each<[string, string | null]>([
  ['---\nlicense: apache-2.0\n---\n# Model', 'apache-2.0'],
  ['---\r\ntags:\r\n- x\r\nlicense: "mit"\r\n---\r\n', 'mit'],
  ['---\nlicense: other\nlicense_name: llama3.2\n---\n', 'llama3.2'],
  ['---\nlicense:\n- apache-2.0\n- mit\ntags: x\n---\n', 'apache-2.0, mit'],
  ['---\nlicense: [mit]\n---\n', 'mit'],
  ['---\nlicense: a\u202eb\u0007c\n---\n', 'a b c'],
  ['---\nlanguage: en\n---\nlicense: mit', null],
  ['license: mit', null],
  ['---\nlicense: mit', null],
])('reads the licence of a card %#', (card, licence) => {
  expect(licenceOfCard(card)).toBe(licence);
});

it('takes the card, else the first line of LICENSE, else nothing', () => {
  const folder = temporaryFolder();
  expect(readLicence(folder)).toBeNull();
  writeFileSync(join(folder, 'NOTICE'), 'Built with care');
  expect(readLicence(folder)).toBeNull();
  writeFileSync(join(folder, 'LICENSE.txt'), `\n\n  ${'A licence '.repeat(50)}\nsecond line`);
  const found = readLicence(folder)!;
  expect(found.source).toBe('LICENSE.txt');
  expect(found.name).toMatch(/^A licence A/);
  expect(found.name.length).toBeLessThanOrEqual(120);
  writeFileSync(join(folder, 'README.md'), '---\nlicense: mit\n---\n');
  expect(readLicence(folder)).toEqual({ name: 'mit', source: 'README.md' });
});

it('passes over a card that is a folder', () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'README.md'));
  expect(readLicence(folder)).toBeNull();
});
