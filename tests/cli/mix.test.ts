import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { studio } from '../support/commandLine.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { tinyLlama } from '../support/paths.ts';

const home = temporaryFolder();
const run = (...args: string[]) => studio([...args, '--home', home]);
const mix = (...args: string[]) => run('mix', ...args);

interface Shown {
  name: string;
  unit: string;
  stop: string;
  size: number | null;
  seed: number;
  sources: {
    dataset: string;
    asked: string;
    rows: number;
    uniqueRows: number;
    repeatedRows: number;
    epochs: number;
    tokens: number | null;
    trainedTokens: number | null;
    share: number;
  }[];
  rows: number;
  heldOutRows: number;
  hash: string;
}
async function shown(...args: string[]): Promise<Shown> {
  const { stdout, stderr, code } = await mix(...args, '--json');
  if (code !== 0) throw new Error(`${code}: ${stdout}${stderr}`);
  return JSON.parse(stdout) as Shown;
}
async function refused(code: number, ...args: string[]): Promise<string> {
  const answer = await mix(...args, '--json');
  expect(answer.code, answer.stdout).toBe(code);
  const { error } = JSON.parse(answer.stdout) as { error: { message: string; remedy: string } };
  return `${error.message} ${error.remedy}`;
}
const asked = ({ sources }: Shown) => sources.map((source) => `${source.dataset} ${source.asked}`);

beforeAll(async () => {
  const write = (name: string, count: number) => {
    const rows = Array.from({ length: count }, (_, i) => ({
      prompt: `say ${name}`,
      completion: `${name} ${i}`,
    }));
    const path = join(home, `${name}.jsonl`);
    writeFileSync(path, rows.map((row) => JSON.stringify(row)).join('\n'));
    return path;
  };
  for (const [name, count] of [
    ['short', 100],
    ['long', 50],
  ] as const)
    expect((await run('datasets', 'add', write(name, count))).code).toBe(0);
});

describe('mix create', () => {
  it('takes percent, fractions that are 1 together, and passes', async () => {
    const percent = await shown(
      'create',
      'percent',
      '--part',
      'short=30%',
      '--part',
      'long=70%',
      '--unit',
      'rows',
    );
    expect(asked(percent)).toEqual(['short 30 %', 'long 70 %']);
    expect(percent).toMatchObject({ name: 'percent', unit: 'rows', stop: 'all' });
    const fraction = await shown(
      'create',
      'fraction',
      '--part',
      'short=0.3',
      '--part',
      'long=0.7',
      '--unit',
      'rows',
    );
    expect(asked(fraction)).toEqual(['short 30 %', 'long 70 %']);
    expect(fraction.hash).toBe(percent.hash);
    const passes = await shown(
      'create',
      'passes',
      '--part',
      'short=1x',
      '--part',
      'long=2x',
      '--unit',
      'rows',
    );
    expect(asked(passes)).toEqual(['short 1 x', 'long 2 x']);
    expect(passes.sources[1]!.repeatedRows).toBe(passes.sources[1]!.uniqueRows);
  });

  it('has the shape that scripts depend on', async () => {
    const found = await shown(
      'create',
      'shape',
      '--part',
      'short=60%',
      '--part',
      'long=40%',
      '--unit',
      'rows',
    );
    expect(Object.keys(found)).toEqual(expect.arrayContaining(['sources', 'rows', 'heldOutRows', 'hash']));
    for (const source of found.sources) {
      expect(Object.keys(source)).toEqual(
        expect.arrayContaining(['dataset', 'asked', 'rows', 'uniqueRows', 'repeatedRows', 'epochs', 'share']),
      );
      expect(source).toMatchObject({ tokens: null, trainedTokens: null });
      expect(source.rows).toBe(source.uniqueRows + source.repeatedRows);
    }
    expect(found.rows).toBe(found.sources.reduce((sum, { rows }) => sum + rows, 0));
    expect(Math.abs(found.sources[0]!.share - 0.6)).toBeLessThan(0.01);
    expect(found.hash).toMatch(/^[0-9a-f]{64}$/);
  });

  it('counts tokens with the model that is named, trained tokens unless another unit is', async () => {
    const found = await shown(
      'create',
      'tokens',
      '--part',
      'short=50%',
      '--part',
      'long=50%',
      '--model',
      tinyLlama,
    );
    expect(found.unit).toBe('trained_tokens');
    const trained = found.sources.map((source) => source.trainedTokens!);
    expect(Math.abs(trained[0]! / (trained[0]! + trained[1]!) - 0.5)).toBeLessThan(0.01);
    expect(found.sources[0]!.tokens).toBeGreaterThan(trained[0]!);
    const sized = await shown(
      ...['create', 'sized', '--part', 'short=3', '--part', 'long=1', '--by', 'weight', '--unit', 'tokens'],
      ...['--stop', 'size', '--size', '1000', '--max-epochs', '9', '--temperature', '2', '--seed', '4'],
      ...['--model', tinyLlama],
    );
    expect(sized).toMatchObject({ unit: 'tokens', stop: 'size', size: 1000, seed: 4 });
    expect(Math.abs(sized.sources.reduce((sum, { tokens }) => sum + tokens!, 0) - 1000)).toBeLessThan(60);
    expect(sized.sources[0]!.share).toBeCloseTo(0.75, 1);
  });

  it('refuses numbers that could mean several things, and keeps nothing of what it refuses', async () => {
    const given = ['--part', 'short=2', '--part', 'long=3', '--unit', 'rows'];
    expect(await refused(2, 'create', 'unclear', ...given)).toMatch(
      /short=2, long=3 could be shares, weights, epochs or counts.*--by/,
    );
    expect(asked(await shown('create', 'unclear', ...given, '--by', 'count'))).toEqual([
      'short 2 rows',
      'long 3 rows',
    ]);
    expect(await refused(2, 'create', 'x', '--part', 'short=many')).toContain('no DATASET=AMOUNT');
    expect(await refused(2, 'create', 'x')).toContain('A mix needs sources');
    expect(await refused(2, 'create', 'x', '--part', 'short=1x', '--unit', 'bytes')).toContain(
      'trained-tokens',
    );
    expect(await refused(2, 'create', 'x', '--part', 'short=1x', '--stop', 'never')).toContain(
      'first, all, once, size',
    );
    expect(await refused(1, 'create', 'x', '--part', 'nothing=1x', '--unit', 'rows')).toContain('nothing');
    expect(
      await refused(1, 'create', 'x', '--part', 'short=60%', '--part', 'long=60%', '--unit', 'rows'),
    ).toContain('add up to 120 %');
    expect(await refused(1, 'create', 'percent', '--part', 'short=1x', '--unit', 'rows')).toContain(
      'already a mix "percent"',
    );
    expect(await refused(1, 'create', 'short', '--part', 'short=1x', '--unit', 'rows')).toContain(
      'already a dataset "short"',
    );
    const { stdout } = await mix('list', '--json');
    expect((JSON.parse(stdout) as Shown[]).map(({ name }) => name)).not.toContain('x');
  });

  it('is shown, listed and removed, and is a source of other mixes', async () => {
    const before = await shown(
      'create',
      'inner',
      '--part',
      'short=25%',
      '--part',
      'long=75%',
      '--unit',
      'rows',
    );
    expect((await shown('show', 'inner')).hash).toBe(before.hash);
    const text = (await mix('show', 'inner')).stdout;
    expect(text).toMatch(/short\s+25 %/);
    expect(text).toContain('One pass:');
    const outer = await shown(
      'create',
      'outer',
      '--part',
      'inner=1x',
      '--part',
      'short=1x',
      '--unit',
      'rows',
    );
    expect(asked(outer)).toEqual(['inner/short 25 %', 'inner/long 75 %', 'short 1 x']);
    expect(await refused(1, 'remove', 'inner')).toContain('a source of the mix "outer"');
    expect((await mix('remove', 'outer')).code).toBe(0);
    expect((await mix('remove', 'inner')).code).toBe(0);
    expect(await refused(1, 'show', 'inner')).toContain('inner');
    expect((await mix('list')).stdout).not.toContain('inner');
    expect(await refused(2, 'shuffle')).toContain('create, import, show, list and remove');
  });

  it('imports the mixing of other programs, and asks what a bare number means', async () => {
    const file = join(home, 'mix.yaml');
    writeFileSync(
      file,
      'dataset: short,long\nmix_strategy: interleave_under\ninterleave_probs: 0.5,0.5\nseed: 3\n',
    );
    const found = await shown('import', file, '--name', 'imported');
    expect(found).toMatchObject({ name: 'imported', unit: 'rows', stop: 'first', seed: 3 });
    expect(asked(found)).toEqual(['short weight 0.5', 'long weight 0.5']);
    expect(found.sources.map(({ repeatedRows }) => repeatedRows)).toEqual([0, 0]);
    writeFileSync(file, 'datasets:\n- path: short\n  weight: 0.5\n- path: long\n  weight: 1\n');
    expect(await refused(1, 'import', file, '--name', 'again')).toContain(
      'Say which: by weight, by epochs or by count',
    );
    expect(asked(await shown('import', file, '--name', 'again', '--by', 'epochs'))).toEqual([
      'short 0.5 x',
      'long 1 x',
    ]);
    expect(await refused(1, 'import', join(home, 'none.yaml'), '--name', 'none')).toContain('none.yaml');
  });
});

describe('a study over mixes', () => {
  const start = (...args: string[]) =>
    run(
      'study',
      'start',
      '--name',
      'share',
      '--model',
      tinyLlama,
      '--rank',
      '2',
      '--context',
      '64',
      ...args,
      '--json',
    );

  it('trains one run on each mix with each seed for the same steps, and compares them on the same held-out rows', async () => {
    for (const share of [20, 80])
      await shown(
        ...['create', `short${share}`, '--part', `short=${share}%`, '--part', `long=${100 - share}%`],
        ...['--unit', 'rows'],
      );
    const both = ['--data', 'short20,short80', '--seeds', '0,1', '--held-out', '0.2'];
    expect((await start(...both)).stdout).toContain('same number of steps');
    expect((await start(...both, '--max-steps', '2', '--budget', '4000')).code).toBe(2);
    const { code, stdout } = await start(...both, '--max-steps', '2');
    expect(code, stdout).toBe(0);
    const found = JSON.parse((await run('study', 'show', 'share', '--json')).stdout) as {
      arms: { label: string }[];
      notes: string[];
      runs: { runId: string; arm: number; seed: number }[];
      outcome: { arms: { n: number }[]; pairs: { n: number }[] };
    };
    expect(found.arms.map(({ label }) => label)).toEqual(['short20', 'short80']);
    expect(found.notes.join(' ')).not.toContain('different rows');
    expect(found.outcome.arms.map(({ n }) => n)).toEqual([2, 2]);
    expect(found.outcome.pairs.map(({ n }) => n)).toEqual([2]);
    const runs = await Promise.all(
      ['share short20 s0', 'share short80 s0'].map(
        async (name) =>
          JSON.parse((await run('runs', 'show', name, '--json')).stdout) as {
            datasetName: string;
            step: number;
            dataContract: { heldOutRows: number; sources: { dataset: string; asked: string }[] };
          },
      ),
    );
    expect(runs.map(({ datasetName, step }) => [datasetName, step])).toEqual([
      ['short20', 2],
      ['short80', 2],
    ]);
    expect(runs.map(({ dataContract }) => dataContract.sources[0]!.asked)).toEqual(['20 %', '80 %']);
    expect(runs[0]!.dataContract.heldOutRows).toBe(runs[1]!.dataContract.heldOutRows);
  });

  it('says where data hold out different rows', async () => {
    const { stdout, code } = await run(
      ...[
        'study',
        'plan',
        '--name',
        'unlike',
        '--model',
        tinyLlama,
        '--data',
        'short,long',
        '--max-steps',
        '2',
      ],
      ...['--context', '64', '--json'],
    );
    expect(code, stdout).toBe(0);
    expect((JSON.parse(stdout) as { notes: string[] }).notes.join(' ')).toContain('hold out different rows');
  });
});
