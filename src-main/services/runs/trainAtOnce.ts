import { existsSync, readFileSync, rmSync } from 'node:fs';
import type { TrainAtOnce } from '../../contract/entities.ts';
import { writeFileAtomic } from '../../formats/files/atomicFile.ts';

const one = 'One run trains at a time, whatever cards are free.';

/**
 * On how many cards the queue of a data folder trains. Read from the file each time: commands and an open studio see
 * what the other has decided.
 */
export function readTrainAtOnce(file: string): TrainAtOnce {
  return existsSync(file) && readFileSync(file, 'utf8').trim() === one ? 'one' : 'all';
}

/** Keeps what the user decided. */
export function keepTrainAtOnce(file: string, atOnce: TrainAtOnce): void {
  if (atOnce === 'one') writeFileAtomic(file, `${one}\n`);
  else rmSync(file, { force: true });
}
