import { cpSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Name of the package, and of the folder in which a copy of it lies beside an adapter. */
export const packageName = 'id_lora';

const source = fileURLToPath(new URL(`../../../resources/python/${packageName}`, import.meta.url));

/**
 * Lays a copy of our Python package beside an adapter whose method PEFT does not have, so that the folder alone is
 * enough to load it. @returns paths of the files in the folder
 */
export function writePythonPackage(folder: string): string[] {
  const names = readdirSync(source).filter((name) => /\.py$|^py\.typed$/.test(name));
  for (const name of names) cpSync(join(source, name), join(folder, packageName, name));
  return names.sort().map((name) => `${packageName}/${name}`);
}
