import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fixtures } from './paths.ts';
import { temporaryFolder } from './temporaryFolder.ts';

type Keys = Record<string, unknown>;

/** A copy of a fixture in which keys of its JSON files are replaced; null removes one. */
export function patchedFolder(fixture: string, files: Readonly<Record<string, Keys>>): string {
  const folder = join(temporaryFolder(), fixture);
  cpSync(join(fixtures, fixture), folder, { recursive: true });
  for (const [name, patch] of Object.entries(files)) {
    const path = join(folder, name);
    const values = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Keys) : {};
    const entries = Object.entries({ ...values, ...patch }).filter(([, value]) => value !== null);
    writeFileSync(path, JSON.stringify(Object.fromEntries(entries)));
  }
  return folder;
}
