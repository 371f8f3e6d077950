import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { studioEnvironment } from '../../src-main/setup/launch.mjs';
import { projectFolder } from '../support/paths.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

afterEach(() => vi.unstubAllEnvs());

it('keeps compiled sources in the runtime folder, or where a person says', () => {
  vi.stubEnv('NODE_COMPILE_CACHE', undefined);
  expect(studioEnvironment(process.execPath).NODE_COMPILE_CACHE).toMatch(/runtime[/\\]compile-cache$/);
  vi.stubEnv('NODE_COMPILE_CACHE', '/elsewhere');
  expect(studioEnvironment(process.execPath).NODE_COMPILE_CACHE).toBe('/elsewhere');
});

it('is filled by a command, and read by the next', () => {
  const kept = temporaryFolder();
  const help = () =>
    execFileSync(process.execPath, [join(projectFolder, 'src-main', 'cli.ts'), 'help'], {
      env: { ...process.env, NODE_COMPILE_CACHE: kept },
      stdio: ['ignore', 'pipe', 'pipe'],
      encoding: 'utf8',
    });
  const first = help();
  const files = readdirSync(kept, { recursive: true });
  expect(files.length).toBeGreaterThan(20);
  expect(help()).toBe(first);
  expect(readdirSync(kept, { recursive: true })).toHaveLength(files.length);
});
