import { join } from 'node:path';
import { expect, it } from 'vitest';
import { exportRecordSchema } from '../../src-main/contract/results.ts';
import { certificateVerdict } from '../../src-main/options/exits.ts';
import { writeGeneratedDataset } from '../fixtures/generatedDataset.ts';
import { studio } from '../support/commandLine.ts';
import { patchedFolder } from '../support/patchedFolder.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

it('an export of a base that contradicts itself is equal to the run, and yet no success', async () => {
  const home = temporaryFolder();
  const data = join(home, 'sums.jsonl');
  writeGeneratedDataset(data, 20, 1);
  const model = patchedFolder('tiny-llama', { 'config.json': { tie_word_embeddings: true } });
  const size = ['--method', 'lora', '--rank', '2', '--max-steps', '1', '--context', '64', '--batch', '2'];
  const trained = await studio([
    'train',
    ...['--model', model, '--data', data, '--name', 'r', '--home', home],
    ...size,
  ]);
  expect(trained.code).toBe(0);
  const handed = await studio([
    'export',
    'r',
    '--format',
    'cluster',
    '--out',
    join(home, 'x'),
    '--home',
    home,
  ]);
  expect(handed).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/in the order of 1 steps/) as string,
  });
  const taken = await studio(['runs', 'import', join(home, 'x'), '--home', home, '--json']);
  expect(taken.code).toBe(1);
  expect(JSON.parse(taken.stdout)).toMatchObject({ error: { code: 'not_found' } });
  const told = await studio(['export', 'r', '--home', home]);
  expect(told.code).toBe(1);
  expect(told.stdout).toMatch(/^Equal to what the run trained/m);
  expect(told.stdout).toMatch(
    /^CONTRADICTION in the model folder: .*tie_word_embeddings is true.*lm_head\.weight of other values/m,
  );
  const read = await studio(['export', 'r', '--home', home, '--json']);
  expect(read.code).toBe(1);
  const { certificate } = exportRecordSchema.parse(JSON.parse(read.stdout));
  expect(certificate).toMatchObject({ equal: true, contradictions: [expect.any(String)] });
  expect(certificateVerdict(certificate)).toMatchObject({ isGood: false, short: 'AMBIGUOUS' });
  expect(certificateVerdict({ ...certificate, contradictions: [] })).toMatchObject({ isGood: true });
  expect(certificateVerdict({ ...certificate, contradictions: undefined })).toMatchObject({ isGood: true });
  expect(certificateVerdict({ ...certificate, equal: false })).toMatchObject({ short: 'DIFFERS' });
});
