import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Licence } from '../../contract/modelLibrary.ts';
import { cardName, isTerms } from './modelFiles.ts';

const headBytes = 64 * 1024;

/**
 * The licence that a model folder states: in the front matter of its README.md, else the first line of its LICENSE.
 * Null where it states none. The text is a stranger's: cut, without control characters, and no link.
 */
export function readLicence(folder: string): Licence | null {
  const card = head(join(folder, cardName));
  const stated = card === null ? null : licenceOfCard(card);
  if (stated !== null) return { name: stated, source: cardName };
  const terms = readdirSync(folder)
    .filter((name) => isTerms(name) && !/^notice/i.test(name))
    .sort();
  for (const name of terms) {
    const first = head(join(folder, name))
      ?.split('\n')
      .map(plainLine)
      .find((line) => line !== '');
    if (first) return { name: first, source: name };
  }
  return null;
}

/** `license` and `license_name` of a model card's front matter. */
export function licenceOfCard(card: string): string | null {
  const matter = /^\uFEFF?---\r?\n([\s\S]*?)\r?\n---/.exec(card)?.[1];
  if (matter === undefined) return null;
  const lines = matter.split(/\r?\n/);
  const valueOf = (key: string): string | null => {
    const at = lines.findIndex((line) => line.startsWith(`${key}:`));
    if (at < 0) return null;
    const same = plainValue(lines[at]!.slice(key.length + 1));
    if (same !== '') return same;
    const items: string[] = [];
    for (const line of lines.slice(at + 1)) {
      const item = /^\s*-\s+(.*)$/.exec(line)?.[1];
      if (item === undefined) break;
      items.push(plainValue(item));
    }
    return items.length > 0 ? items.join(', ') : null;
  };
  const [licence, name] = [valueOf('license'), valueOf('license_name')];
  if (licence === null || licence === 'other') return name ?? licence;
  return licence;
}

function plainValue(text: string): string {
  return plainLine(text.replace(/^\s*\[?\s*(['"]?)(.*?)\1\s*\]?\s*$/, '$2'));
}

function plainLine(text: string): string {
  return text
    .replace(/[\u0000-\u001f\u007f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/g, ' ')
    .trim()
    .slice(0, 120);
}

/** The beginning of a text file; null where there is none. */
function head(path: string): string | null {
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return null;
  const fd = openSync(path, 'r');
  try {
    const buffer = Buffer.alloc(headBytes);
    return buffer.toString('utf8', 0, readSync(fd, buffer, 0, headBytes, 0));
  } finally {
    closeSync(fd);
  }
}
