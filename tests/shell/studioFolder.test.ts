import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { findStudio, keptBeside } from '../../src-main/shell/studioFolder.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

it('finds what Node runs in the checkout, or beside the archive of an application', () => {
  const [checkout, resources] = [temporaryFolder(), temporaryFolder()];
  const built = join(checkout, 'out');
  expect(findStudio(built, resources, { ID_LORA_STUDIO_NODE: '/usr/bin/node' })).toEqual({
    folder: checkout,
    node: '/usr/bin/node',
    isPackaged: false,
  });
  expect(findStudio(built, resources, {}).node).toBe('node');
  const studio = join(resources, 'studio');
  mkdirSync(studio);
  writeFileSync(join(studio, 'packaged.json'), '{"node":"node/node"}');
  expect(findStudio(built, resources, { ID_LORA_STUDIO_NODE: '/usr/bin/node' })).toEqual({
    folder: studio,
    node: join(studio, 'node', 'node'),
    isPackaged: true,
  });
});

it('keeps what an application compiles and measures beside the window, not in the application', () => {
  expect(keptBeside('/home/u/.config/studio')).toEqual({
    NODE_COMPILE_CACHE: join('/home/u/.config/studio', 'compile-cache'),
    ID_LORA_STUDIO_MEASURED: join('/home/u/.config/studio', 'measured'),
  });
});
