import { afterAll } from 'vitest';
import { removeTemporaryFolders } from './temporaryFolder.ts';

// The first hook of a file is the last that is called: what uses the folders has ended.
afterAll(removeTemporaryFolders);
