import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Bytes and number of the files below a folder; none where there is no folder. Files that vanish meanwhile do not
 * count.
 */
export async function diskUse(folder: string): Promise<{ sizeBytes: number; files: number }> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const use = { sizeBytes: 0, files: 0 };
  for (const name of names) {
    const stats = await stat(join(folder, name)).catch(() => null);
    if (!stats?.isFile()) continue;
    use.sizeBytes += stats.size;
    use.files++;
  }
  return use;
}
