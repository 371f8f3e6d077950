import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { trainConfigSchema } from '../../../src-main/contract/training.ts';
import type { Core } from '../../../src-main/core/createCore.ts';
import { neverAborted, openTestCore } from '../../support/core.ts';
import { hasSharedData, sharedData, sharedNote, tinyLlama } from '../../support/paths.ts';

const open: Core[] = [];
afterEach(() => open.splice(0).forEach((core) => core.close()));

function openCore() {
  const opened = openTestCore();
  open.push(opened.core);
  return opened;
}

const settings = { limit: null, shots: 0, maxTokens: 4, seed: 0, precision: 'f32' } as const;

it('scores the studio’s own copy of a dataset, and says which of its rows were trained on', async () => {
  const { core, dataFile } = openCore();
  await core.models.add({ folder: tinyLlama, name: 'tiny', copy: false });
  const { id } = await core.datasets.add({ path: dataFile, name: 'sums', format: 'auto' });
  const lines = readFileSync(dataFile, 'utf8').trim().split('\n');
  // What is scored elsewhere: ten of the rows in another file, and none of them.
  const some = `${dataFile}.some.jsonl`;
  writeFileSync(some, lines.slice(0, 10).join('\n'));
  rmSync(dataFile);
  const config = trainConfigSchema.parse({
    adapter: { method: 'lora', rank: 2, alpha: 4 },
    maxSteps: 2,
    batch: 2,
    context: 64,
    heldOutFraction: 0.2,
  });
  for (const name of ['first', 'second'])
    await (
      await core.runs.start({ name, model: 'tiny', dataset: 'sums', config })
    ).ended;
  const { trainRows, heldOutRows } = core.runs.get('first').dataContract!;
  expect([trainRows, heldOutRows]).toEqual([48, 12]);
  const perplexity = { model: 'tiny', adapter: 'first', benchmark: 'perplexity', ...settings } as const;
  const whole = await core.evaluations.start({ ...perplexity, data: { dataset: id } }, neverAborted);
  expect(whole).toMatchObject({ n: 60, dataPath: 'sums', leak: { items: trainRows, dataset: 'sums' } });
  const heldOut = await core.evaluations.start({ ...perplexity, data: null }, neverAborted);
  expect(heldOut).toMatchObject({ n: heldOutRows, leak: { items: 0 } });
  const base = { ...perplexity, adapter: null, data: { dataset: id } };
  expect((await core.evaluations.start(base, neverAborted)).leak).toBeNull();
  const file = await core.evaluations.start({ ...perplexity, data: { path: some } }, neverAborted);
  expect(file.leak!.items).toBeGreaterThan(0);

  const { comparisons } = await core.evaluations.compare(
    { ...settings, runs: ['first', 'second'], benchmark: 'perplexity', data: { dataset: 'sums' } },
    neverAborted,
  );
  const share = Math.round((100 * trainRows) / 60);
  expect(comparisons[0]!.warnings).toEqual(
    ['first', 'second'].map(
      (name) =>
        `${trainRows} of 60 scored items (${share} %) stand in the rows that ${name} was trained on ("sums").`,
    ),
  );
  const exact = { ...perplexity, benchmark: 'gsm8k', limit: 3, data: { dataset: id } } as const;
  expect(await core.evaluations.start(exact, neverAborted)).toMatchObject({ n: 3, metric: 'accuracy' });
  await expect(core.evaluations.start({ ...exact, shots: 2 }, neverAborted)).rejects.toThrow(
    /nothing beside sums has them/,
  );
  await expect(core.evaluations.start({ ...exact, data: null }, neverAborted)).rejects.toThrow(
    /needs its data/,
  );
});

describe.skipIf(!hasSharedData)(`GSM8K${sharedNote}`, () => {
  it('is told at import and at a study, whatever its test file is called', async () => {
    const { core, home } = openCore();
    await core.models.add({ folder: tinyLlama, name: 'tiny', copy: false });
    const folder = join(home, 'gsm8k');
    mkdirSync(folder);
    copyFileSync(sharedData('gsm8k', 'test.jsonl'), join(folder, 'more.jsonl'));
    copyFileSync(sharedData('gsm8k', 'train.jsonl'), join(folder, 'train.jsonl'));
    const test = await core.datasets.add({ path: join(folder, 'more.jsonl'), name: 'gsm8k', format: 'auto' });
    expect(test.benchmarkRows).toEqual([{ with: 'GSM8K test', rows: 1319, of: 1319 }]);
    const train = await core.datasets.add({
      path: join(folder, 'train.jsonl'),
      name: 'train',
      format: 'auto',
    });
    expect(train.benchmarkRows).toEqual([]);
    const mixed = join(folder, 'mixed.jsonl');
    const lines = ['test', 'train'].map((name) =>
      readFileSync(sharedData('gsm8k', `${name}.jsonl`), 'utf8').split('\n'),
    );
    writeFileSync(mixed, [...lines[0]!.slice(0, 10), ...lines[1]!.slice(0, 90)].join('\n'));
    await core.datasets.add({ path: mixed, name: 'mixed', format: 'auto' });
    expect(await core.datasets.shared('mixed')).toEqual([
      { with: 'GSM8K test', rows: 10, of: 100 },
      { with: 'gsm8k', rows: 10, of: 100 },
      { with: 'train', rows: 90, of: 100 },
    ]);
    const study = (dataset: string) =>
      core.studies.plan({
        name: 'table',
        model: 'tiny',
        dataset,
        question: { kind: 'paper', study: 'table1-gsm8k-llama', seeds: [0] },
      });
    await expect(study('gsm8k')).rejects.toThrow(
      /1,319 of 1,319 rows \(100 %\) of "gsm8k" stand in GSM8K test/,
    );
    const { notes } = await study('mixed');
    expect(notes).toContain('10 of 100 rows (10 %) of "mixed" stand in GSM8K test, too.');
    expect(notes.join(' ')).not.toContain('stand in train');
    expect((await study('train')).notes.join(' ')).not.toContain('stand in');
  });
});

describe.skipIf(!hasSharedData)(`other test sets${sharedNote}`, () => {
  it.each([
    ['MMLU test', ['mmlu', 'test', 'anatomy_test.csv'], 135],
    ['CommonsenseQA dev', ['commonsenseqa', 'dev_rand_split.jsonl'], 1221],
    ['HumanEval', ['humaneval', 'HumanEval.jsonl.gz'], 164],
    ['XSTest', ['xstest', 'xstest_prompts.csv'], 450],
  ] as const)('%s is told at import', async (name, path, rows) => {
    const { core } = openCore();
    const dataset = await core.datasets.add({ path: sharedData(...path), name: 'mine', format: 'auto' });
    expect(dataset.benchmarkRows).toEqual([{ with: name, rows, of: rows }]);
  });

  it('a study that is scored with several refuses each of them', async () => {
    const { core } = openCore();
    await core.models.add({ folder: tinyLlama, name: 'tiny', copy: false });
    await core.datasets.add({
      path: sharedData('mmlu', 'test', 'anatomy_test.csv'),
      name: 'mine',
      format: 'auto',
    });
    const question = { kind: 'paper' as const, study: 'table7' as const, seeds: [0] };
    await expect(core.studies.plan({ name: 't', model: 'tiny', dataset: 'mine', question })).rejects.toThrow(
      /stand in MMLU test, too\. The study is scored with them/,
    );
  });
});
