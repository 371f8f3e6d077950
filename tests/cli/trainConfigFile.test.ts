import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { writeGeneratedDataset } from '../fixtures/generatedDataset.ts';
import { projectFolder, tinyLlama } from '../support/paths.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const home = temporaryFolder();

function train(...args: string[]): { code: number | null; stdout: string; stderr: string } {
  const command = [join(projectFolder, 'src-main', 'cli.ts'), 'train', ...args, '--home', home];
  const { status, stdout, stderr } = spawnSync(process.execPath, command, { encoding: 'utf8' });
  return { code: status, stdout, stderr };
}

it('prints a configuration that it reads again, with options that count more than the file', () => {
  const file = join(home, 'run.yaml');
  const printed = train('--method', 'idlora', '--rank', '6', '--lr', '3e-5', '--print-config');
  expect(printed.code).toBe(0);
  writeFileSync(file, printed.stdout);
  expect(train('--config', file, '--print-config').stdout).toBe(printed.stdout);
  const changed = train('--config', file, '--rank', '8', '--print-config', '--json');
  expect(JSON.parse(changed.stdout)).toMatchObject({
    method: 'idlora',
    r: 8,
    lora_alpha: 12,
    learning_rate: 3e-5,
  });
});

it('trains what a file says: model, data, name and options; the rest is listed', () => {
  const data = join(home, 'sums.jsonl');
  writeGeneratedDataset(data, 40, 1);
  const file = join(home, 'peft.json');
  const document = {
    model_name_or_path: tinyLlama,
    dataset_name: data,
    run_name: 'from a file',
    peft_type: 'LORA',
    r: 2,
    lora_alpha: 4,
    target_modules: ['q_proj', 'v_proj'],
    task_type: 'CAUSAL_LM',
    max_steps: 2,
    max_length: 64,
    per_device_train_batch_size: 2,
    held_out_fraction: 0,
  };
  writeFileSync(file, JSON.stringify(document));
  const trained = train('--config', file, '--json');
  expect(trained.stderr).toContain('Ignored in the file: task_type');
  expect(trained.code).toBe(0);
  const lines = trained.stdout.trim().split('\n');
  expect(JSON.parse(lines[0]!)).toMatchObject({ event: 'start', totalSteps: 2 });
  expect(JSON.parse(lines.at(-1)!)).toMatchObject({
    event: 'done',
    run: 'from a file',
    state: 'done',
    step: 2,
  });
});

it('names file, key, value and limit of what it refuses, and a file that is not there', () => {
  const file = join(home, 'wrong.yaml');
  writeFileSync(file, 'r: 0\nlora_dropout: 2\n');
  const refused = train('--config', file, '--json');
  expect(refused.code).toBe(1);
  const { error } = JSON.parse(refused.stdout) as { error: { code: string; message: string } };
  expect(error.code).toBe('config_invalid');
  expect(error.message).toMatch(/wrong\.yaml: r: 0 .*At least 1\. lora_dropout: 2 .*Below 1\./);
  const resumed = train('--resume', 'a', '--config', file, '--json');
  expect(resumed.code).toBe(2);
  expect(resumed.stdout).toMatch(/--config and --resume/);
  const missing = train('--config', join(home, 'nowhere.yaml'), '--json');
  expect(missing.code).toBe(1);
  expect(missing.stdout).toMatch(/nowhere\.yaml/);
});
