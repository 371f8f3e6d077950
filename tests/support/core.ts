import { join } from 'node:path';
import { createCore, type Core } from '../../src-main/core/createCore.ts';
import { writeGeneratedDataset } from '../../src-main/services/projects/generatedModel.ts';
import { temporaryFolder } from './temporaryFolder.ts';

/** A core on a fresh data folder, and a small GSM8K-like file. */
export function openTestCore(): { core: Core; home: string; dataFile: string } {
  const home = temporaryFolder();
  const dataFile = join(home, 'sums.jsonl');
  writeGeneratedDataset(dataFile, 60, 1);
  return { core: createCore({ home, project: 'default', mode: 'write' }), home, dataFile };
}

export const neverAborted = new AbortController().signal;
