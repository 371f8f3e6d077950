import { join } from 'node:path';
import { createCore, type Core } from '../../src-main/core/createCore.ts';
import { writeGeneratedDataset } from '../../src-main/services/projects/generatedModel.ts';
import { temporaryFolder } from './temporaryFolder.ts';
import { fixtures } from './paths.ts';

/** A core on a fresh data folder, and a small GSM8K-like file. */
export function openTestCore(): { core: Core; home: string; dataFile: string } {
  const home = temporaryFolder();
  const dataFile = join(home, 'sums.jsonl');
  writeGeneratedDataset(dataFile, 60, 1);
  return { core: createCore({ home, project: 'default', mode: 'write' }), home, dataFile };
}

export const neverAborted = new AbortController().signal;

/** The same with tiny-llama as `tiny` and the file as `sums` in its library. */
export async function openTrainingCore(): Promise<ReturnType<typeof openTestCore>> {
  const opened = openTestCore();
  await opened.core.models.add({ folder: join(fixtures, 'tiny-llama'), name: 'tiny', copy: false });
  await opened.core.datasets.add({ path: opened.dataFile, name: 'sums', format: 'auto' });
  return opened;
}
