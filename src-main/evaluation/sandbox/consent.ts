import { existsSync, readFileSync, rmSync } from 'node:fs';
import { writeFileAtomic } from '../../formats/files/atomicFile.ts';

const consent = 'Generated code may be run in a sandbox on this machine.';

/**
 * Whether a data folder's user agreed that generated code is run. Read from the file each time: commands and an open
 * studio see what the other has decided.
 */
export function isCodeAllowed(file: string): boolean {
  return existsSync(file) && readFileSync(file, 'utf8').trim() === consent;
}

/** Keeps what the user decided. */
export function keepConsent(file: string, isAllowed: boolean): void {
  // Absent means no: a damaged or lost file takes the consent back and never gives it.
  if (isAllowed) writeFileAtomic(file, `${consent}\n`);
  else rmSync(file, { force: true });
}
