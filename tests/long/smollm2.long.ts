import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { mixRecipeSchema } from '../../src-main/contract/mixing/mixes.ts';
import { procedures } from '../../src-main/contract/procedures.ts';
import { trainConfigSchema } from '../../src-main/contract/training.ts';
import type { Core } from '../../src-main/core/createCore.ts';
import { neverAborted, openTestCore } from '../support/core.ts';
import { projectFolder, sharedData } from '../support/paths.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

/** A real instruct model, trained on a mix of GSM8K, Alpaca and CodeAlpaca through its own template. */
const provision = join(projectFolder, '..', 'shared', 'tools', 'provision-smollm2');
const sources = {
  sums: ['gsm8k', 'train.jsonl'],
  instructions: ['alpaca', 'alpaca_data_subset_2000.json'],
  code: ['codealpaca', 'new_codealpaca.json'],
} as const;
const isThere =
  existsSync(provision) && Object.values(sources).every((path) => existsSync(sharedData(...path)));
const note = isThere ? '' : ' (skipped: needs ../shared/tools and ../shared/data)';

let core: Core;
beforeAll(async () => {
  if (!isThere) return;
  ({ core } = openTestCore());
  const folder = execFileSync(provision, { encoding: 'utf8' }).trim().split('\n').at(-1)!;
  await core.models.add({ folder, name: 'smollm2', copy: false });
  const ids: Record<string, string> = {};
  for (const [name, place] of Object.entries(sources)) {
    const text = readFileSync(sharedData(...place), 'utf8').trim();
    const lines = text.startsWith('[')
      ? (JSON.parse(text) as object[]).map((row) => JSON.stringify(row))
      : text.split('\n');
    const path = join(temporaryFolder(), `${name}.jsonl`);
    writeFileSync(
      path,
      lines
        .filter((line) => line.length < 420)
        .slice(0, 160)
        .join('\n'),
    );
    ids[name] = (await core.datasets.add({ paths: [path], name, format: 'auto' })).id;
  }
  const share = (name: string, value: number) => ({
    kind: 'dataset',
    id: ids[name],
    amount: { by: 'share', value },
  });
  const recipe = mixRecipeSchema.parse({
    sources: [share('sums', 70), share('instructions', 15), share('code', 15)],
  });
  core.mixes.create({ name: 'three', recipe, model: 'smollm2' });
}, 300_000);
afterAll(() => core?.close());

const question =
  'A box holds 3 pens. Mia buys 4 boxes and gives 5 pens away. How many pens does she have left?';

it.runIf(isThere)(
  `SmolLM2 learns GSM8K's way of answering from a mix, in its own template, and stops by itself${note}`,
  async () => {
    const config = trainConfigSchema.parse({
      adapter: { method: 'lora', rank: 8, alpha: 16 },
      learningRate: 1e-3,
      maxSteps: 60,
      batch: 2,
      context: 256,
      heldOutFraction: 0,
      samples: { prompts: [question], every: 0, maxTokens: 160 },
    });
    const preview = await core.previews.rows(
      procedures['datasets.preview'].input.parse({ dataset: 'sums', model: 'smollm2', limit: 1 }),
    );
    expect(preview.template).toMatchObject({ name: 'model', stop: [] });
    expect(preview.rows[0]!.text).toMatch(
      /^<\|im_start\|>system\n[^]*<\|im_start\|>assistant\n[^]*#### \d+<\|im_end\|>\n$/,
    );
    const started = await core.runs.start({ name: 'r', model: 'smollm2', dataset: 'three', config });
    const run = await started.ended;
    expect(run).toMatchObject({ state: 'done' });
    const shares = run.dataContract!.sources.map((source) => source.share);
    for (const [i, asked] of [0.7, 0.15, 0.15].entries())
      expect(Math.abs(shares[i]! - asked)).toBeLessThan(0.005);
    const losses = core.runs.sourceLosses('r', 4);
    console.log(losses.map(({ source, points }) => [source, points.map(({ loss }) => loss.toFixed(3))]));
    // Of 15 % of some sixty steps' rows each, the loss is mostly noise; the sums are learned.
    const [sums] = losses;
    expect(sums!.points.at(-1)!.loss).toBeLessThan(sums!.points[0]!.loss);
    const samples = core.runs.samples('r', { prompt: 0, limit: 10 });
    const [before, after] = [samples[0]!, samples.at(-1)!];
    console.log({ before: before.text, after: after.text });
    // The model knows GSM8K's sign before a result already; its notes of sums are new to it.
    expect(before.text).not.toContain('<<');
    expect(after.text).toMatch(/<<[^<>]+>>[^]*#### -?\d+\s*$/);
    expect(after.end).toBe('end_id');
    const answered = await core.generation.text(
      procedures['generate.text'].input.parse({
        model: 'smollm2',
        adapter: 'r',
        prompt: question,
        chat: {},
        maxTokens: 160,
      }),
      neverAborted,
    );
    expect(answered.text).toBe(after.text);
    expect(answered.tokens.length).toBeLessThan(160);
    expect(answered.template).toMatchObject({ name: 'model' });
  },
  3_600_000,
);
