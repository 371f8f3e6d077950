import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { certificateLines, certificateVerdict } from '../../../src-main/options/exits.ts';
import { trainConfigSchema, type TrainConfigInput } from '../../../src-main/contract/training.ts';
import { meanDivergence } from '../../../src-main/services/exports/certificate.ts';
import { neverAborted, openTrainingCore } from '../../support/core.ts';

const { core, home } = await openTrainingCore();
afterAll(() => core.close());

const rank = 4;

async function train(name: string, adapter: TrainConfigInput['adapter']): Promise<void> {
  const config = trainConfigSchema.parse({ adapter, maxSteps: 3, learningRate: 2e-2, batch: 2, context: 64 });
  const { ended } = await core.runs.start({ name, model: 'tiny', dataset: 'sums', config });
  expect((await ended).state).toBe('done');
}

const method = 'idlora';

it('is a LoRA that says how far off the run it is', async () => {
  await train(method, { method, rank, alpha: 8, clusters: 3, pivots: 'random' });
  const record = await core.exports.create({ run: method, format: 'lora' }, neverAborted);
  expect(record.folder).toBe(join(home, 'exports', `${method}-lora`));
  const { certificate } = record;
  expect(certificateVerdict(certificate)).toMatchObject({ isGood: true, short: 'approximate' });
  expect(certificate.peft).toMatchObject({ isEqual: true, modules: 14, expectedModules: 14 });
  // The route depends on the token, and so something is lost.
  expect(certificate.maxLogitDifference).toBeGreaterThan(1e-3);
  expect(certificate.frozen).toMatchObject({ dataset: 'sums', rows: 60 });
  expect(certificate.frozen!.kl).toBeGreaterThan(0);
  expect(certificate.frozen!.frozenLoss).not.toBe(certificate.frozen!.routedLoss);
  expect(certificateLines(certificate)[0]).toMatch(/^NOT the same function.* 60 rows of “sums”/);
  const config = JSON.parse(readFileSync(join(record.folder, 'adapter_config.json'), 'utf8')) as object;
  expect(config).toMatchObject({ peft_type: 'LORA', r: 4 });
  expect(readFileSync(join(record.folder, 'README.md'), 'utf8')).not.toContain('import id_lora');
  expect(existsSync(join(record.folder, 'id_lora'))).toBe(false);
  // What was made for the calibration is gone.
  expect(readdirSync(join(home, 'cache', 'tokens')).filter((name) => name.endsWith('.route'))).toEqual([]);
});

it('is merged, too, or cut to a rank, and says how much of it stayed', async () => {
  const merged = await core.exports.create({ run: method, format: 'merged', dtype: 'BF16' }, neverAborted);
  expect(merged.certificate).toMatchObject({ equal: true, dtype: 'BF16', merged: { isEqual: true } });
  expect(certificateVerdict(merged.certificate)).toMatchObject({ short: 'approximate' });
  expect(certificateLines(merged.certificate).join(' ')).toContain('are what base and update add up to');
  expect(readFileSync(join(merged.folder, 'README.md'), 'utf8')).toContain('is frozen at its mean');
  const cut = await core.exports.create({ run: method, format: 'lora', rank: 2 }, neverAborted);
  const { keptVariance } = cut.certificate.frozen!;
  expect(keptVariance).toBeGreaterThan(0.3);
  expect(keptVariance).toBeLessThan(1);
  // Of every module, and by kind; the card says the same.
  const { cutModules } = cut.certificate.frozen!;
  expect(cutModules).toHaveLength(14);
  expect(new Set(cutModules!.map(({ path }) => path)).size).toBe(14);
  const said =
    /Its rank was cut, which kept \d\d\.\d\d % of the variance of the updates: .*down_proj \d\d\.\d\d %.*; least of model\.layers\.\d\.\S+, \d\d\.\d\d %\./;
  expect(certificateLines(cut.certificate)[0]).toMatch(said);
  const card = readFileSync(join(cut.folder, 'README.md'), 'utf8');
  expect(said.exec(card)?.[0]).toBe(said.exec(certificateLines(cut.certificate)[0]!)![0]);
});

it('stands beside the other ways out, with what each came to', async () => {
  const rows = await core.exports.compare({ run: method, measure: true }, neverAborted);
  expect(rows.map(({ format, made }) => [format, made?.verdict ?? null])).toEqual([
    ['peft', null],
    ['lora', 'approximate'],
    ['merged', 'approximate'],
    ['gguf-lora', null],
    ['gguf', null],
  ]);
  for (const { made, tokensPerSecond } of rows.slice(1, 3)) {
    expect(made!.sizeBytes).toBeGreaterThan(1000);
    expect(made!.kl).toBeGreaterThan(0);
    expect(made!.sameChoices).toBeGreaterThan(0.5);
    expect(tokensPerSecond).toBeGreaterThan(0);
  }
  expect(rows[0]).toMatchObject({ problem: null, tokensPerSecond: null });
  const plain = await core.exports.compare({ run: method }, neverAborted);
  expect(plain.map(({ tokensPerSecond }) => tokensPerSecond)).toEqual(Array(5).fill(null));
});

it.each([
  [{ format: 'peft', dtype: 'BF16' }, /^The option dtype means nothing to the export .* as peft/],
  [{ format: 'peft', rank: 2 }, /^The option rank means nothing/],
  [{ format: 'peft', calibration: 'sums' }, /^The option calibration means nothing/],
  [{ format: 'lora', embedPivots: true }, /^The option embedPivots means nothing/],
] as const)('refuses %j, which would be ignored', async (asked, message) => {
  await expect(core.exports.create({ run: method, ...asked }, neverAborted)).rejects.toMatchObject({
    code: 'config_invalid',
    message: expect.stringMatching(message) as string,
  });
});

it('is not there for a LoRA, and needs rows', async () => {
  await train('plain', { method: 'lora', rank, alpha: 8 });
  await expect(core.exports.create({ run: 'plain', format: 'lora' }, neverAborted)).rejects.toMatchObject({
    code: 'config_invalid',
  });
  const missing = { run: 'idlora', format: 'lora', calibration: 'none', folder: join(home, 'x') } as const;
  await expect(core.exports.create(missing, neverAborted)).rejects.toMatchObject({
    code: 'not_found',
    message: 'There is no dataset "none".',
  });
  expect(existsSync(join(home, 'x'))).toBe(false);
});

it('measures a divergence as the mean of KL over rows', () => {
  const p = Float32Array.of(0, 0, Math.log(3), 0);
  const q = Float32Array.of(Math.log(3), 0, Math.log(3), 0);
  // KL((1/2, 1/2) || (3/4, 1/4)) = ln 2 - ln 3 / 2, and no difference in the second row.
  expect(meanDivergence(p, q, 2)).toBeCloseTo((Math.log(2) - Math.log(3) / 2) / 2, 5);
  expect(meanDivergence(p, p, 2)).toBe(0);
});
