import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Run } from '../../src-main/contract/entities.ts';
import { writeGeneratedDataset } from '../fixtures/generatedDataset.ts';
import { studio } from '../support/commandLine.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { tinyLlama } from '../support/paths.ts';

it('trains an adapter on with its base kept as it was, unless another way is said', async () => {
  const home = temporaryFolder();
  const data = join(home, 'sums.jsonl');
  writeGeneratedDataset(data, 20, 1);
  const place = ['--home', home, '--json'];
  const size = ['--data', data, '--max-steps', '1', '--batch', '2', '--context', '48'];
  const train = async (name: string, ...args: string[]) => {
    const { code } = await studio(['train', ...size, ...args, '--name', name, ...place]);
    expect(code).toBe(0);
    const { stdout } = await studio(['runs', 'show', name, ...place]);
    const { loadIn8bit, loadIn4bit } = (JSON.parse(stdout) as { config: Run['config'] }).config;
    return { loadIn8bit, loadIn4bit };
  };
  const adapter = ['--method', 'lora', '--rank', '2'];
  const first = await train('first', '--model', tinyLlama, ...adapter, '--load-in-4bit', 'true');
  const inNf4 = { loadIn8bit: false, loadIn4bit: true };
  expect(first).toEqual(inNf4);
  // What a file turns off says nothing of the other way.
  const file = join(home, 'config.yaml');
  writeFileSync(file, 'load_in_8bit: false\n');
  expect(await train('next', '--from', 'first', '--config', file)).toEqual(inNf4);
  const whole = await train('whole', '--from', 'first', '--load-in-4bit', 'false');
  expect(whole).toEqual({ loadIn8bit: false, loadIn4bit: false });
});
