import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { datasetRecipe, mixRecipeSchema, type MixRecipe } from '../../../src-main/contract/mixing/mixes.ts';
import { countInput } from '../../../src-main/contract/mixing/mixProcedures.ts';
import { trainConfigSchema, type TrainConfigInput } from '../../../src-main/contract/training.ts';
import type { Core } from '../../../src-main/core/createCore.ts';
import { neverAborted, openCoreOn, openTrainingCore } from '../../support/core.ts';
import { leastTime } from '../../support/patience.ts';

const open: Core[] = [];
afterEach(() => open.splice(0).forEach((core) => core.close()));

/** A core with three datasets of unlike rows: 60 sums, 40 short texts, 10 long ones. */
async function openMixingCore() {
  const opened = await openTrainingCore();
  open.push(opened.core);
  const write = async (name: string, rows: readonly string[]) => {
    const path = join(opened.home, `${name}.jsonl`);
    writeFileSync(path, rows.map((text) => JSON.stringify({ prompt: 'say', completion: text })).join('\n'));
    return opened.core.datasets.add({ path, name, format: 'auto' });
  };
  const short = await write(
    'short',
    Array.from({ length: 40 }, (_, i) => `a b ${i}`),
  );
  const long = await write(
    'long',
    Array.from({ length: 10 }, (_, i) => `one two three four ${i}`.repeat(2)),
  );
  return { ...opened, short, long, sums: opened.core.datasets.get('sums') };
}

type Opened = Awaited<ReturnType<typeof openMixingCore>>;

function recipe(
  parts: readonly [{ id: string }, number | null, ('share' | 'weight' | 'epochs' | 'count')?][],
  rules: Partial<MixRecipe> = {},
): MixRecipe {
  return mixRecipeSchema.parse({
    ...rules,
    sources: parts.map(([{ id }, value, by = 'share']) => ({
      kind: 'dataset',
      id,
      amount: value === null ? null : { by, value },
    })),
  });
}

const two = (
  one: { id: string },
  first: number,
  other: { id: string },
  second: number,
  rules: Partial<MixRecipe> = {},
) =>
  recipe(
    [
      [one, first],
      [other, second],
    ],
    rules,
  );

const count = ({ core }: Opened, given: MixRecipe, options: object = {}) =>
  core.mixes.count(
    countInput.parse({ recipe: given, model: 'tiny', options: { context: 64, ...options } }),
    neverAborted,
  );

describe('a mix', () => {
  it('gives the shares of trained tokens that were asked for, whole rows aside', async () => {
    const opened = await openMixingCore();
    const { short, long, sums } = opened;
    const found = await count(
      opened,
      recipe([
        [sums, 50],
        [short, 20],
        [long, 30],
      ]),
    );
    for (const [i, asked] of [0.5, 0.2, 0.3].entries())
      expect(Math.abs(found.sources[i]!.share - asked), found.sources[i]!.dataset).toBeLessThan(0.005);
    const trained = found.sources.reduce((sum, source) => sum + source.trainedTokens!, 0);
    expect(found.trainedTokens).toBe(trained);
    expect(found.sources[0]!.share).toBeCloseTo(found.sources[0]!.trainedTokens! / trained, 10);
    expect(found.sources.map(({ asked }) => asked)).toEqual(['50 %', '20 %', '30 %']);
    // All sources are seen whole, and the others repeat for it.
    expect(Math.min(...found.sources.map(({ epochs }) => epochs))).toBeCloseTo(1, 9);
    for (const { rows, uniqueRows, repeatedRows } of found.sources)
      expect(rows).toBe(uniqueRows + repeatedRows);
  });

  it('answers another share from numbers alone', async () => {
    const opened = await openMixingCore();
    const { short, long } = opened;
    await count(opened, two(short, 50, long, 50));
    const events: string[] = [];
    opened.core.events.subscribe(null, ({ event }) => events.push(event.type));
    const took = await leastTime(200, async (attempt) => {
      const found = await count(opened, two(short, 90 - attempt, long, 10 + attempt));
      expect(found.sources[0]!.share).toBeCloseTo(0.9 - attempt / 100, 2);
    });
    expect(took).toBeLessThan(200);
    expect(events.filter((type) => type === 'progress')).toEqual([]);
  });

  it('is the same rows whatever the order of its sources and rows, and others with another seed', async () => {
    const opened = await openMixingCore();
    const { short, long, core, home } = opened;
    const found = await count(opened, two(short, 50, long, 50));
    expect((await count(opened, two(long, 50, short, 50))).hash).toBe(found.hash);
    expect((await count(opened, two(short, 50, long, 50, { seed: 1 }))).hash).not.toBe(found.hash);
    expect((await count(opened, two(short, 50, long, 50), { seed: 1 })).hash).not.toBe(found.hash);
    const path = join(home, 'turned.jsonl');
    const rows = Array.from({ length: 40 }, (_, i) => `a b ${39 - i}`);
    writeFileSync(path, rows.map((text) => JSON.stringify({ prompt: 'say', completion: text })).join('\n'));
    const turned = await core.datasets.add({ path, name: 'turned', format: 'auto' });
    const sample = (given: MixRecipe) =>
      core.mixes.sample(
        {
          ...countInput.parse({ recipe: given, model: 'tiny', options: { context: 64 } }),
          offset: 0,
          limit: 200,
        },
        neverAborted,
      );
    const texts = async (given: MixRecipe) =>
      (await sample(given)).rows.map(({ row }) => JSON.stringify(row));
    const one = await texts(recipe([[short, 1, 'epochs']]));
    expect(one.length).toBeGreaterThan(30);
    expect(await texts(recipe([[turned, 1, 'epochs']]))).toEqual(one);
  });

  it('never trains on a row that it holds out, however often sources repeat', async () => {
    const opened = await openMixingCore();
    const { core, home } = opened;
    const texts = (from: number) => Array.from({ length: 30 }, (_, i) => `say ${from + i}`);
    const add = (name: string, from: number) => {
      const path = join(home, `${name}.jsonl`);
      writeFileSync(
        path,
        texts(from)
          .map((text) => JSON.stringify({ prompt: text, completion: 'yes' }))
          .join('\n'),
      );
      return core.datasets.add({ path, name, format: 'auto' });
    };
    const [first, second] = [await add('first', 0), await add('second', 15)];
    const given = two(first, 90, second, 10, { unit: 'rows' });
    const input = countInput.parse({
      recipe: given,
      model: 'tiny',
      options: { context: 64, heldOutFraction: 0.2 },
    });
    const found = await core.mixes.count(input, neverAborted);
    const { rows, total } = await core.mixes.sample({ ...input, offset: 0, limit: 200 }, neverAborted);
    expect(rows.length).toBe(Math.min(200, total));
    expect(found.heldOutRows).toBe(12);
    expect(found.sources.some(({ heldOutElsewhere }) => heldOutElsewhere > 0)).toBe(true);
    const trained = new Set(rows.map(({ row }) => JSON.stringify(row)));
    // Of 45 rows, as many as are held out anywhere are trained on nowhere.
    const heldOut = found.sources.reduce((sum, source) => sum + source.heldOutRows, 0);
    expect(45 - trained.size).toBeGreaterThanOrEqual(heldOut - 15);
    expect(found.sources[0]!.repeatedRows).toBeGreaterThan(0);
  });

  it('counts rows without a model, and asks for one where tokens decide', async () => {
    const opened = await openMixingCore();
    const { short, long, core } = opened;
    const without = (given: MixRecipe) => core.mixes.count(countInput.parse({ recipe: given }), neverAborted);
    const found = await without(two(short, 50, long, 50, { unit: 'rows' }));
    expect(found).toMatchObject({ tokens: null, model: null, fillRate: null });
    expect(found.sources[1]!.epochs).toBeCloseTo(3.9, 1);
    await expect(without(two(short, 50, long, 50))).rejects.toThrow('needs a model');
  });

  it('takes mixes as sources, warns of many repeats, and refuses itself', async () => {
    const opened = await openMixingCore();
    const { short, long, sums, core } = opened;
    const inner = core.mixes.create({ name: 'texts', recipe: two(short, 50, long, 50), model: null });
    const outer = mixRecipeSchema.parse({
      sources: [
        { kind: 'mix', id: inner.id, amount: { by: 'share', value: 80 } },
        { kind: 'dataset', id: sums.id, amount: { by: 'share', value: 20 } },
      ],
    });
    const found = await count(opened, outer);
    expect(found.sources.map(({ dataset }) => dataset)).toEqual(['texts/short', 'texts/long', 'sums']);
    expect(found.sources[2]!.share).toBeCloseTo(0.2, 2);
    expect(found.sources[0]!.share).toBeCloseTo(0.4, 1);
    const warned = await count(opened, two(short, 98, long, 2, { unit: 'rows' }));
    expect(warned.warnings.join()).toContain('"short" is repeated');
    expect(() =>
      core.mixes.update(inner.id, {
        recipe: mixRecipeSchema.parse({ sources: [{ kind: 'mix', id: inner.id }] }),
      }),
    ).toThrow('contains itself');
    core.mixes.create({ name: 'all', recipe: outer, model: null });
    expect(() => core.mixes.remove('texts')).toThrow('is a source of the mix "all"');
    expect(() => core.datasets.remove('long')).toThrow('is a source of the mix "texts"');
  });
});

describe('a run on a mix', () => {
  const config = (changes: Partial<TrainConfigInput> = {}) =>
    trainConfigSchema.parse({
      adapter: { method: 'lora', rank: 2, alpha: 4 },
      maxSteps: 6,
      batch: 2,
      context: 64,
      heldOutFraction: 0.2,
      evalEvery: 3,
      checkpointEvery: 3,
      ...changes,
    });

  it.each([
    { packing: false, accumulate: 1 },
    { packing: true, accumulate: 2 },
  ])('tells the loss of each source, trained and held out (%o)', async (options) => {
    const opened = await openMixingCore();
    const { core, short, sums } = opened;
    core.mixes.create({ name: 'both', recipe: two(short, 40, sums, 60), model: null });
    const { ended } = await core.runs.start({
      name: 'a',
      model: 'tiny',
      dataset: 'both',
      config: config(options),
    });
    const run = await ended;
    expect(run).toMatchObject({ state: 'done', datasetName: 'both' });
    expect(run.dataContract!.sources.map(({ dataset }) => dataset)).toEqual(['short', 'sums']);
    const losses = core.runs.sourceLosses('a', 100);
    expect(losses.map(({ source, heldOut }) => [source, heldOut])).toEqual([
      [0, false],
      [1, false],
      [0, true],
      [1, true],
    ]);
    const { steps, evals } = core.runs.curves('a');
    // The parts, weighed by their labels, are the whole.
    const whole = (heldOut: boolean, step: number) => {
      const parts = losses
        .filter((curve) => curve.heldOut === heldOut)
        .flatMap(({ points }) => points.filter((point) => point.step === step));
      const tokens = parts.reduce((sum, part) => sum + part.tokens, 0);
      return parts.reduce((sum, part) => sum + part.loss * part.tokens, 0) / tokens;
    };
    for (const { step, loss } of steps) expect(whole(false, step)).toBeCloseTo(loss, 4);
    for (const { step, loss } of evals) expect(whole(true, step)).toBeCloseTo(loss, 4);
    const held = losses[2]!.points.at(-1)!.tokens + losses[3]!.points.at(-1)!.tokens;
    expect(held).toBe(evals.at(-1)!.tokens);
    if (options.packing) return;
    const { folder, files } = await core.exports.create({ run: 'a' }, neverAborted);
    expect(files.map(({ name }) => name)).toContain('data_contract.json');
    const contract = JSON.parse(readFileSync(join(folder, 'data_contract.json'), 'utf8')) as object;
    const { hash, parts } = run.dataContract!;
    expect(contract).toMatchObject({
      data: 'both',
      hash,
      parts,
      sources: [{ dataset: 'short' }, { dataset: 'sums' }],
    });
  });

  it.each([{ packing: false }, { packing: true }])(
    'takes as many steps of as many tokens as the count foretold, in its template (%o)',
    async ({ packing }) => {
      const opened = await openMixingCore();
      const { core, short, long, sums } = opened;
      // Nothing is taken of the source with the longest rows.
      const given = recipe([
        [short, 30],
        [sums, 70],
        [long, 0],
      ]);
      core.mixes.create({ name: 'some', recipe: given, model: null });
      const options = {
        packing,
        batch: 2,
        accumulate: 2,
        heldOutFraction: 0.2,
        context: 96,
        template: 'plain' as const,
      };
      const plain = await count(opened, given, options);
      const asChatml = await count(opened, given, { ...options, template: 'chatml' });
      expect(asChatml.longestRow!).toBeGreaterThan(plain.longestRow!);
      const changes = { ...options, maxSteps: null, epochs: 1, evalEvery: 0, checkpointEvery: 0 };
      const started = await core.runs.start({
        name: 'a',
        model: 'tiny',
        dataset: 'some',
        config: config(changes),
      });
      const run = await started.ended;
      expect(run).toMatchObject({ state: 'done', step: plain.stepsPerEpoch });
      expect(run.dataContract).toMatchObject({ trainRows: plain.rows, heldOutRows: plain.heldOutRows });
      const { rowTokens, line, labels } = run.forecast!;
      expect({ rowTokens, line }).toMatchObject(
        packing ? { rowTokens: 96, line: null } : { line: { longest: 8 * Math.ceil(plain.longestRow! / 8) } },
      );
      expect(labels).toBeGreaterThan(0);
      expect(plain.layout).toEqual({ rowTokens, line, labels });
    },
  );

  it.each([
    { packing: true, epochs: 3, seed: 5 },
    { packing: true, epochs: 2.5, seed: 1 },
    { packing: false, epochs: 3, seed: 2 },
  ])(
    'takes exactly the steps of several passes that were foretold, on a mix and on a dataset (%o)',
    async (given) => {
      const opened = await openMixingCore();
      const { core, short, sums } = opened;
      core.mixes.create({ name: 'some', recipe: two(short, 30, sums, 70), model: null });
      const options = { ...given, batch: 2, accumulate: 1, heldOutFraction: 0.1, context: 96 };
      const plan = { ...options, maxSteps: null, evalEvery: 0, checkpointEvery: 0 };
      for (const data of ['some', 'sums']) {
        const found =
          data === 'some' ? two(short, 30, sums, 70) : datasetRecipe({ id: sums.id, split: 'train' });
        const asked = { recipe: found, model: 'tiny', options: config(plan) };
        const steps = await core.mixes.steps(asked, neverAborted);
        const started = await core.runs.start({
          name: data,
          model: 'tiny',
          dataset: data,
          config: config(plan),
        });
        expect(await started.ended).toMatchObject({ state: 'done', step: steps, totalSteps: steps });
        expect(steps).toBeGreaterThan(given.epochs);
      }
      const noModel = {
        recipe: two(short, 30, sums, 70, { unit: 'rows' }),
        model: null,
        options: config(plan),
      };
      if (given.packing)
        await expect(core.mixes.steps(noModel, neverAborted)).rejects.toMatchObject({ code: 'usage' });
    },
  );

  it('goes on with the mix as it was when it began, and shows where two contracts differ', async () => {
    const opened = await openMixingCore();
    const { core, home, short, sums, long } = opened;
    const mix = core.mixes.create({ name: 'both', recipe: two(short, 40, sums, 60), model: null });
    const start = async (name: string, changes: Partial<TrainConfigInput>) =>
      (await core.runs.start({ name, model: 'tiny', dataset: 'both', config: config(changes) })).ended;
    const whole = await start('whole', { maxSteps: 6 });
    const { ended } = await core.runs.start({
      name: 'parts',
      model: 'tiny',
      dataset: 'both',
      config: config({ maxSteps: 6 }),
    });
    const paused = core.runs.pause('parts');
    await paused;
    await ended;
    core.mixes.update(mix.id, { recipe: recipe([[long, 100]]) });
    core.close();
    open.splice(0);
    const again = openCoreOn(home);
    open.push(again);
    const before = again.runs.get('parts');
    const parts = before.state === 'done' ? before : await (await again.runs.resume('parts')).ended;
    expect(parts.state).toBe('done');
    expect(parts.dataContract!.hash).toBe(whole.dataContract!.hash);
    const losses = (name: string) => again.runs.curves(name).steps.map(({ loss }) => loss);
    expect(losses('parts')).toEqual(losses('whole'));
    const other = await (
      await again.runs.start({ name: 'other', model: 'tiny', dataset: 'both', config: config({ seed: 3 }) })
    ).ended;
    expect(other.dataContract!.hash).not.toBe(whole.dataContract!.hash);
    const [mine, theirs] = [whole.dataContract!.parts, other.dataContract!.parts];
    const differing = Object.keys(mine).filter((name) => mine[name] !== theirs[name]);
    expect(differing).toEqual(['datasets', 'content', 'amounts', 'seed']);
  });
});
