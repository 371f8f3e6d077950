import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Run } from '../../contract/entities.ts';
import { findRun } from '../../store/runs.ts';
import type { ServiceContext } from '../context.ts';

/** Lies in a run's folder until its record is written. */
const unfinishedMark = '.importing';

/**
 * Makes a run of what was trained elsewhere: both its files and its record, or neither.
 * @param make writes the files into the run's folder, then the record
 */
export async function importRun(
  { paths, database, project, emit }: ServiceContext,
  id: string,
  make: () => Promise<Run>,
): Promise<Run> {
  const folder = paths.runFolder(id);
  const mark = join(folder, unfinishedMark);
  mkdirSync(folder, { recursive: true });
  let run: Run;
  try {
    writeFileSync(mark, '');
    run = await make();
  } catch (error) {
    if (!findRun(database, project, id)) rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  rmSync(mark, { force: true });
  emit({ type: 'run', run });
  return run;
}

/** Clears what a process left behind that died while it imported. */
export function clearUnfinishedImports({ paths, database, project }: ServiceContext): void {
  const all = dirname(paths.runFolder('any'));
  for (const id of existsSync(all) ? readdirSync(all) : []) {
    const mark = join(all, id, unfinishedMark);
    if (!existsSync(mark)) continue;
    rmSync(findRun(database, project, id) ? mark : join(all, id), { recursive: true, force: true });
  }
}
