import { sampleItem } from '../support/sampleEvaluation.ts';
import { describe, expect, it } from 'vitest';
import type { Run } from '../../src-main/contract/entities.ts';
import type { EvaluationItem } from '../../src-main/contract/results.ts';
import { trainConfigSchema } from '../../src-main/contract/training.ts';
import { compareSubjects } from '../../src-main/evaluation/compare.ts';
import { confounders, lossFigures, type ScoredBase } from '../../src-main/evaluation/confounders.ts';
import { couldTell } from '../../src-main/evaluation/verdict.ts';
import { sampleRun } from '../support/sampleRun.ts';

const run = (name: string, seed: number, changes: Partial<Run> = {}, config = {}) =>
  sampleRun({
    name,
    config: trainConfigSchema.parse({ adapter: { method: 'lora', rank: 4, alpha: 8 }, seed, ...config }),
    ...changes,
  });

const tiny = { modelId: 'm', name: 'tiny', hash: 'weights of tiny' };
/** What tells two runs on the same base apart. */
const between = (a: Run, b: Run) => confounders({ run: a, base: tiny }, { run: b, base: tiny });

function items(values: { correct?: boolean; loss?: number | null }[]): EvaluationItem[] {
  return values.map(({ correct = null, loss = null }, index) =>
    sampleItem(index, { correct, loss, tokens: 10 }),
  );
}

describe('comparisons', () => {
  const losses = (shift: number) =>
    items(Array.from({ length: 40 }, (_, i) => ({ loss: 2 + Math.sin(i) / 10 + shift + i / 1e4 })));
  const subject = (name: string, graded: EvaluationItem[], dataHash = 'h') => ({
    name,
    run: run(name, name === 'id' ? 7 : 0),
    base: tiny,
    items: graded,
    dataHash,
  });

  it('a lower loss is better, and the sentence says on what and how sure', () => {
    const [c] = compareSubjects('perplexity', 'test.jsonl', [
      subject('lora', losses(0)),
      subject('id', losses(0.1)),
    ]);
    expect(c).toMatchObject({ verdict: 'a_better', n: 40, metric: 'mean_loss' });
    expect(c!.sentence).toMatch(
      /^id is worse than lora on 40 items of test.jsonl: .* difference \+0.100 nats .* Wilcoxon's signed-rank test, p = .*; one run each, seeds 7 and 0: what another seed would change is not covered\.$/,
    );
  });
  it('gives no interval where there are too few items for one', () => {
    const few = (shift: number) => losses(shift).slice(0, 1);
    const [c] = compareSubjects('perplexity', 'd', [subject('a', few(0)), subject('b', few(0.4))]);
    expect(c!.verdict).toBe('cannot_tell');
    expect(c!.sentence).toMatch(/on 1 item of d: .* \(too few items for an interval: at least 6/);
  });
  it('equal losses cannot be told apart', () => {
    const [c] = compareSubjects('perplexity', 'd', [subject('a', losses(0)), subject('b', losses(0))]);
    expect(c).toMatchObject({ verdict: 'cannot_tell', pAdjusted: 1 });
  });
  it('verdict and sentence agree where one is near zero and the other is not', () => {
    const right = (n: number) => items(Array.from({ length: 1319 }, (_, i) => ({ correct: i < n })));
    const [c] = compareSubjects('gsm8k', 'd', [subject('a', right(0)), subject('b', right(20))]);
    expect(c!.verdict).toBe('b_better');
    expect(c!.sentence).toMatch(/^b is better than a/);
    const [none] = compareSubjects('gsm8k', 'd', [subject('a', right(0)), subject('b', right(1))]);
    expect(none!.sentence).toMatch(/beyond both models/);
    // None right of 20 with both: a difference of up to 16 points may be hidden.
    const twenty = () => items(Array.from({ length: 20 }, () => ({ correct: false })));
    const [zeros] = compareSubjects('gsm8k', 'd', [subject('a', twenty()), subject('b', twenty())]);
    expect(zeros!.interval.map((bound) => bound.toFixed(3))).toEqual(['-0.161', '0.161']);
    expect(zeros!.sentence).toMatch(/^Cannot tell b and a apart on 20 items/);
    expect(zeros!.sentence).toContain('95 % interval −16.1 to +16.1');
    expect(zeros!.sentence).toContain('they differ on no item, and fewer than 6 show nothing');
    expect(couldTell(zeros!)).toBe(false);
  });
  it('corrects over all pairs', () => {
    const three = [0, 0.1, 0.2].map((shift, i) => subject(`s${i}`, losses(shift)));
    const compared = compareSubjects('perplexity', 'd', three);
    expect(compared).toHaveLength(3);
    for (const c of compared) expect(c.pAdjusted).toBeGreaterThan(c.pValue);
    expect(compared[0]!.sentence).toContain('Holm over 3 pairs');
  });
  it('corrects for what a pair was chosen from', () => {
    const pair = [subject('a', losses(0)), subject('b', losses(0.1))];
    const [alone] = compareSubjects('perplexity', 'd', pair);
    const [chosen] = compareSubjects('perplexity', 'd', pair, { chosenOf: 6 });
    expect(chosen!.pAdjusted).toBeCloseTo(6 * alone!.pAdjusted, 12);
    expect(chosen!.sentence).toContain('Bonferroni over the 6 pairs of what was scored');
  });
  it('refuses other items, other data and losses that are not finite', () => {
    expect(() =>
      compareSubjects('perplexity', 'd', [subject('a', losses(0)), subject('b', losses(0).slice(1))]),
    ).toThrow(/not graded on the same items \(40 and 39\)/);
    expect(() =>
      compareSubjects('perplexity', 'd', [subject('a', losses(0)), subject('b', losses(0), 'other')]),
    ).toThrow(/not graded on the same items/);
    expect(() =>
      compareSubjects('perplexity', 'd', [
        subject('a', losses(0)),
        subject('b', items(Array.from({ length: 40 }, () => ({ loss: NaN })))),
      ]),
    ).toThrow(/no finite loss/);
  });
});

describe('what else tells two runs apart', () => {
  it('is nothing where only the method does, and where one of them was not trained', () => {
    const idlora = run('b', 0, {}, { adapter: { method: 'idlora', rank: 8, alpha: 8 }, evalEvery: 10 });
    expect(between(run('a', 0), idlora)).toEqual([]);
    expect(confounders({ run: null, base: tiny }, { run: run('b', 3), base: tiny })).toEqual([]);
  });

  it('is not known of an adapter from elsewhere: no setting of it is told, and no seed', () => {
    const imported = { source: 'x', peftType: 'LORA', baseName: null, sha256: 'x', sameWeights: [] };
    const theirs = run('theirs', 0, { imported, datasetId: null });
    const words = ['training: rows and settings of theirs are not known, trained elsewhere'];
    expect(between(run('a', 0), theirs)).toEqual(words);
    const [c] = compareSubjects('gsm8k', 'test.jsonl', [
      { name: 'a', run: run('a', 0), base: tiny, items: items([{ correct: true }]), dataHash: 'h' },
      { name: 'theirs', run: theirs, base: tiny, items: items([{ correct: false }]), dataHash: 'h' },
    ]);
    expect(c!.sentence).not.toContain('seed 0');
    expect(c!.sentence).toContain('one run');
  });

  it('names the adapter that one of them began with', () => {
    const further = run('b', 0, { start: { runId: 'x', runName: 'first', step: 7 } });
    expect(between(run('a', 0), further)).toEqual([
      'start: the adapter of first at step 7 against a fresh adapter',
    ]);
  });

  it('names steps, data, rows, seed, context, precision and every other option', () => {
    const contract = {
      hash: 'one',
      parts: {},
      sources: [],
      datasetHash: 'one',
      rows: 90,
      trainRows: 88,
      heldOutRows: 2,
      truncatedRows: 0,
    };
    const rest = { droppedRows: 0, refusedRows: 0, tokens: 1, trainedTokens: 1, packing: null };
    const a = run('a', 0, { step: 200, dataContract: { ...contract, ...rest } });
    const b = run(
      'b',
      1,
      {
        step: 260,
        datasetName: 'more sums',
        dataContract: { ...contract, ...rest, datasetHash: 'two', trainRows: 44 },
      },
      { context: 128, batch: 8, precision: 'bf16', learningRate: 1e-3 },
    );
    expect(between(a, b)).toEqual([
      'data: more sums against sums',
      'trained rows: 44 against 88',
      'steps: 260 against 200',
      'rows a step: 8 x 1 against 4 x 1',
      'seed: 1 against 0',
      'context: 128 tokens against 256 tokens',
      'learning rate: 0.001 against 0.0002',
      'precision: bf16 against f32',
    ]);
  });

  it('tells base models apart by what they are, and names them', () => {
    const on = (base: Partial<ScoredBase>, of: Run | null = run('r', 0)) => ({
      run: of,
      base: { ...tiny, ...base },
    });
    const large = { modelId: 'l', name: 'large', hash: 'weights of large' };
    expect(confounders(on({}), on(large))).toEqual(['base model: large against tiny']);
    expect(confounders(on({}, null), on(large))).toEqual(['base model: large against tiny']);
    // The same model, copied into the library and used in place.
    expect(confounders(on({}), on({ modelId: 'copy', name: 'tiny-2' }))).toEqual([]);
    // One entry whose folder was changed between the two.
    const changed = [expect.stringMatching(/^base model: another state of tiny/)];
    expect(confounders(on({}), on({ hash: 'corrected' }))).toEqual(changed);
    // Of older scores nothing but the entry is known.
    expect(confounders(on({ hash: null }), on({}))).toEqual([]);
    expect(confounders(on({ hash: null }), on(large))).toEqual(['base model: large against tiny']);
  });

  it('is how their bases were kept, in one line', () => {
    const [a, b] = [run('a', 0, {}, { loadIn8bit: true }), run('b', 0, {}, { loadIn4bit: true })];
    expect(between(a, b)).toEqual(['base weights: in 4 bits (NF4) against in 8 bits']);
    expect(between(run('c', 0), b)).toEqual(['base weights: in 4 bits (NF4) against as stored']);
  });

  it('compares options that are added to the configuration later', () => {
    const [a, b] = [run('a', 0), run('b', 0)];
    const [mine, theirs] = [a, b].map((one, i) => ({
      ...one,
      config: { ...one.config, promptTemplate: `t${i}` },
    }));
    expect(between(mine!, theirs!)).toEqual(['prompt template: t1 against t0']);
  });

  it('takes the steps of the state that is scored', () => {
    const kept = { keepBest: true };
    const best = (step: number) => ({ step: 300, best: { step, loss: 1 } });
    expect(between(run('a', 0, best(200), kept), run('b', 0, best(200), kept))).toEqual([]);
    expect(between(run('a', 0, best(100), kept), run('b', 0, best(200), kept))).toEqual([
      'steps: 200 against 100',
    ]);
  });

  it('says why losses are not those of the run pages', () => {
    expect(lossFigures([run('a', 0), run('b', 0)], 512)).toMatch(
      /mean over tokens; .* mean over items, .* up to the model's 512 tokens, there up to the training's 256\.$/,
    );
    expect(lossFigures([run('a', 0)], 256)).not.toMatch(/up to/);
    expect(lossFigures([], 256)).toBeNull();
  });
});
