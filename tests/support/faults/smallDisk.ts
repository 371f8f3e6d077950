import { execFileSync } from 'node:child_process';
import { temporaryFolder } from '../temporaryFolder.ts';

/** A file system of so many kilobytes, where this process may mount one; unmount it after use. */
export function smallDisk(kilobytes: number): string | null {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return null;
  const folder = temporaryFolder();
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${kilobytes}k`, 'tmpfs', folder], { stdio: 'ignore' });
    return folder;
  } catch {
    return null;
  }
}
