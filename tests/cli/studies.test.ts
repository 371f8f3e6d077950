import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createOutput } from '../../src-main/cli/output.ts';
import type { Material } from '../../src-main/cli/smallStudies/made.ts';
import { recordOf } from '../../src-main/cli/smallStudies/recorded.ts';
import { settingKeys, settle, type SettingKey } from '../../src-main/cli/smallStudies/settings.ts';
import { speedRecord } from '../../src-main/cli/smallStudies/speed.ts';
import { smallStudies } from '../../src-main/cli/smallStudies/studies.ts';
import { studiesCommand } from '../../src-main/cli/smallStudies/studiesCommand.ts';
import { trainConfigSchema } from '../../src-main/contract/training.ts';
import type { Core } from '../../src-main/core/createCore.ts';
import { compareAll } from '../../src-main/evaluation/compare.ts';
import { checkSize } from '../../src-main/options/checkAdapter.ts';
import { readDecoderConfig } from '../../src-main/formats/families/huggingFaceConfig.ts';
import { starterModelFolder } from '../../src-main/services/projects/starter.ts';
import { presets } from '../../src-main/shape/modelShape.ts';
import { projectFolder } from '../support/paths.ts';
import { sampleItem } from '../support/sampleEvaluation.ts';
import { sampleRun } from '../support/sampleRun.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const starter = readDecoderConfig(starterModelFolder);
const trainable = (key: SettingKey) => settle(starter, key).trainable;
const command = { signal: new AbortController().signal, onInterrupt: () => undefined };

describe('the settings of small studies', () => {
  it.each(settingKeys)('%s can be trained on the starter model and on one of billions', (key) => {
    for (const shape of [starter, presets['llama-3.2-3b']!])
      expect(() => checkSize(shape, settle(shape, key).adapter)).not.toThrow();
  });

  it('each has a name of its own, so that runs are not mistaken for each other', () => {
    const labels = settingKeys.map((key) => settle(starter, key).label);
    expect(new Set(labels).size).toBe(settingKeys.length);
  });

  it('on the starter model equal budgets are equal to the number', () => {
    for (const keys of [
      ['idlora8', 'lora8', 'boost1', 'boost4', 'clusters2'],
      ['idlora16', 'lora16'],
      ['idlora', 'lora32', 'unboosted', 'serial', 'random', 'gaussian', 'svd', 'loraFa', 'fixedWide'],
    ] as const)
      expect(new Set(keys.map(trainable)).size, keys.join(', ')).toBe(1);
    // The paper's: ID-LoRA of rank 128 has 41.6 % fewer than LoRA of rank 32.
    expect(1 - trainable('idlora') / trainable('lora')).toBeCloseTo(0.4, 2);
    for (const key of ['dora', 'hydralora', 'moelora'] as const)
      expect(Math.abs(trainable(key) / trainable('lora') - 1)).toBeLessThan(0.08);
  });
});

/** Two settings with two seeds each, of which the second is right more often, as the services would tell of them. */
function scoredTwice() {
  const right = { worse: [0, 1], better: [18, 17] };
  const items = (count: number) =>
    Array.from({ length: 20 }, (_, i) => sampleItem(i, { correct: i < count }));
  const arms = (['worse', 'better'] as const).map((name, i) => ({
    arm: { ...settle(starter, i === 0 ? 'idlora8' : 'lora8'), label: name },
    runs: right[name].map((count, seed) => {
      const adapter = { method: 'lora' as const, rank: 1 + i, alpha: 8 };
      const config = trainConfigSchema.parse({ adapter, seed });
      return sampleRun({
        id: `${name}${seed}`,
        name: `${name} s${seed}`,
        config,
        lastHeldOutLoss: 2 - count / 20,
      });
    }),
  }));
  const runs = arms.flatMap((arm) => arm.runs);
  const countOf = (id: string) =>
    Object.entries(right)
      .flatMap(([name, counts]) => counts.map((count, seed) => [`${name}${seed}`, count] as const))
      .find(([known]) => known === id)![1];
  const graded = (id: string) => {
    const run = runs.find((one) => one.id === id)!;
    return {
      name: run.name,
      run,
      base: { modelId: 'm', name: 'tiny', hash: 'h' },
      dataHash: 'd',
      items: items(countOf(id)),
    };
  };
  const evaluations = {
    start: ({ adapter }: { adapter: string }) => Promise.resolve({ score: countOf(adapter) / 20 }),
    compare: (asked: { runs: string[] }) =>
      Promise.resolve(compareAll('humaneval', 'test.jsonl', asked.runs.map(graded))),
  };
  return { arms, core: { evaluations } as unknown as Core };
}

describe('small studies', () => {
  it('gives each setting its own scores and interval, and each pair a verdict beside the paper’s', async () => {
    const { arms, core } = scoredTwice();
    const study = {
      ...smallStudies.find(({ name }) => name === 'table-7')!,
      claims: [{ first: 'idlora8', second: 'lora8', paper: 'first' }],
    } as const;
    const model = { name: 'starter' };
    const material = { model, mix: { name: 'mixed' }, settings: { maxSteps: 60 } } as unknown as Material;
    const record = await recordOf(core, { study, material, arms, limit: 20 }, command, createOutput(true));
    expect(record.arms.map(({ cells }) => cells[1]!.values)).toEqual([
      [0, 0.05],
      [0.9, 0.85],
    ]);
    for (const { cells } of record.arms)
      for (const cell of cells) {
        expect(cell!.mean).toBeGreaterThanOrEqual(cell!.interval[0]);
        expect(cell!.mean).toBeLessThanOrEqual(cell!.interval[1]);
      }
    const [loss, functions] = record.verdicts;
    expect(functions).toMatchObject({
      first: 'worse',
      second: 'better',
      found: 'second',
      column: 'functions',
    });
    expect(functions!.sentence).toMatch(/^better is better than worse/);
    expect(loss).toMatchObject({ found: 'second', paper: 'first' });
    expect(loss!.sentence).toContain('better is better, p = ');
    // As the runs were made, whoever asked for what.
    const { batch, context, learningRate, maxSteps } = arms[0]!.runs[0]!.config;
    expect(record.settings).toBe(
      `${maxSteps} steps of ${batch} rows of at most ${context} tokens, learning rate ${learningRate}`,
    );
  });

  it('each compares settings that it trains', () => {
    expect(new Set(smallStudies.map(({ name }) => name)).size).toBe(smallStudies.length);
    for (const { settings, claims, name } of smallStudies)
      for (const { first, second } of claims)
        expect(settings, name).toEqual(expect.arrayContaining([first, second]));
  });

  it('tells the time of a token of each against LoRA, by the shortest of the rounds', async () => {
    const { arms } = scoredTwice();
    const speeds: Record<string, number[]> = {
      base: [400, 500, 450],
      worse0: [250, 100, 200],
      better0: [100, 125, 50],
    };
    const text = ({ adapter }: { adapter: string | null }) =>
      Promise.resolve({ tokensPerSecond: speeds[adapter ?? 'base']!.shift()! });
    const core = { generation: { text } } as unknown as Core;
    const study = smallStudies.find(({ isSpeed }) => isSpeed)!;
    const place = { model: { id: 'm', name: 'starter' }, mix: { name: 'mixed' }, shape: starter };
    const material = place as unknown as Material;
    const record = await speedRecord(core, { study, material, arms }, command, createOutput(true));
    expect(record.arms.map(({ label, cells }) => [label, cells[0]!.mean])).toEqual([
      ['Base model', 2],
      ['worse', 4],
      ['better', 8],
    ]);
    expect(record.verdicts.map(({ sentence }) => sentence)).toEqual([
      'Base model: 2.00 ms a token, 0.50 times LoRA that is not merged.',
      'worse: 4.00 ms a token, 1.00 times LoRA that is not merged.',
      'better: 8.00 ms a token, 2.00 times LoRA that is not merged.',
    ]);
    expect(record.arms[0]!.cells[1]!.mean).toBe(0);
  });

  it.each([
    [[], /Which study/],
    [['table-9'], /no study "table-9"; there are table-2/],
    [['table-2', '--seeds', '0,x'], /whole numbers/],
    [['table-2', '--precision', 'f16'], /"f16" is neither f32 nor bf16/],
    [['table-2', '--batch', '0'], /--batch 0: at least 1/],
    [['table-2', '--max-steps', '1.5'], /--max-steps 1.5: a whole number/],
    [['table-2', '--draw', '--out', '/nowhere'], /has no figures/],
  ])('%j is refused', async (args, message) => {
    await expect(studiesCommand(args, command)).rejects.toThrow(message);
  });

  it('draws pictures anew from recorded figures', async () => {
    const out = temporaryFolder();
    const recorded = join(projectFolder, 'docs', 'studies');
    mkdirSync(out, { recursive: true });
    copyFileSync(join(recorded, 'table-7.json'), join(out, 'table-7.json'));
    await studiesCommand(['table-7', '--draw', '--out', out], command);
    expect(readFileSync(join(out, 'table-7.svg'), 'utf8')).toBe(
      readFileSync(join(recorded, 'table-7.svg'), 'utf8'),
    );
    writeFileSync(join(out, 'table-8.json'), 'no JSON');
    await expect(studiesCommand(['table-8', '--draw', '--out', out], command)).rejects.toThrow(/table-8/);
    expect(existsSync(join(out, 'table-8.svg'))).toBe(false);
  });
});
