import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const projectFolder = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** `npm run parity` sets it: a folder with fixtures and recorded values that were computed a moment ago. */
const live = process.env['ID_LORA_PARITY_FOLDER'];
export const isLive = live !== undefined;
export const fixtures = live ? join(live, 'fixtures') : join(projectFolder, 'tests', 'fixtures');
export const recorded = live ? join(live, 'recorded') : join(projectFolder, 'tests', 'parity', 'recorded');
/** A folder of a model of two layers. */
export const tinyLlama = join(fixtures, 'tiny-llama');

const shared = join(projectFolder, '..', 'shared', 'data');
/** A path in the shared test data, which users do not have. */
export const sharedData = (...parts: string[]): string => join(shared, ...parts);
export const hasSharedData = existsSync(shared);
/** For test names: why a test was skipped. */
export const sharedNote = hasSharedData ? '' : ' (skipped: needs ../shared/data)';
