import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ComparedTogether, Ranking } from '../../src-main/contract/evaluation/comparison.ts';
import type { Study } from '../../src-main/contract/studies.ts';
import { studio } from '../support/commandLine.ts';
import { hasSharedData, sharedData } from '../support/paths.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

/*
 * LoRA, ID-LoRA and DoRA at one budget over three seeds on SmolLM2-135M, from files to verdicts, by the commands that
 * docs/studies.md names; its figures are there. Sizes come from the environment: with those of the document it takes
 * an hour of two cores. STUDY_HOME is a data folder that stays: a study that was stopped goes on in it.
 */
const setting = (name: string, otherwise: number) => Number(process.env[`STUDY_${name}`] ?? otherwise);
const sizes = {
  steps: setting('STEPS', 10),
  batch: setting('BATCH', 4),
  seeds: setting('SEEDS', 3),
  budget: setting('BUDGET', 2_000_000),
  heldOut: setting('HELD_OUT', 16),
  commonsenseqa: setting('COMMONSENSEQA', 100),
  gsm8k: setting('GSM8K', 16),
  /** Of the rows that the runs held out, which there are some forty of. */
  perplexity: setting('PERPLEXITY', 1000),
};
const smollm2 = join(homedir(), '.cache', 'id-lora-studio-tests', 'smollm2-135m-instruct');
const isThere = hasSharedData && existsSync(smollm2);
const note = isThere
  ? ''
  : ' (skipped: needs ../shared/data, and what ../shared/tools/provision-smollm2 makes)';
const methods = ['lora', 'idlora', 'dora'];

interface Compared {
  rankings: Ranking[];
  arms: ComparedTogether[];
}

describe.skipIf(!isThere)(`a study of methods at one budget${note}`, () => {
  const home = process.env['STUDY_HOME'] ?? temporaryFolder();
  const files = join(home, 'files');
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await studio([...args, '--home', home]);
    expect(code, `${args.join(' ')}\n${stderr}\n${stdout}`).toBe(0);
    return stdout;
  };
  const json = async <T>(...args: string[]) => JSON.parse(await run(...args, '--json')) as T;

  beforeAll(async () => {
    mkdirSync(files, { recursive: true });
    writeStudyFiles(files);
    const known = await json<{ name: string }[]>('models', 'list');
    if (known.some(({ name }) => name === 'smollm2')) return;
    await run('models', 'add', smollm2, '--name', 'smollm2');
    for (const name of ['gsm8k-short', 'csqa-train'])
      await run('datasets', 'add', join(files, `${name}.jsonl`), '--name', name);
    await run(
      ...['mix', 'create', 'sums-and-sense', '--part', 'gsm8k-short=50%', '--part', 'csqa-train=50%'],
      ...['--unit', 'rows', '--model', 'smollm2', '--context', '128'],
    );
  });

  it('trains every method with every seed within the budget', async () => {
    const made = await json<{ name: string }[]>('study', 'list');
    const seeds = Array.from({ length: sizes.seeds }, (_, seed) => seed);
    if (made.some(({ name }) => name === 'methods')) await run('study', 'resume', 'methods');
    else
      await run(
        ...['study', 'start', '--name', 'methods', '--model', 'smollm2', '--data', 'sums-and-sense'],
        ...['--methods', methods.join(','), '--budget', String(sizes.budget), '--seeds', seeds.join(',')],
        ...['--template', 'question_answer', '--context', '128', '--batch', String(sizes.batch)],
        ...['--max-steps', String(sizes.steps), '--lr', '0.001', '--schedule', 'cosine'],
        ...['--held-out', '0.02', '--held-out-rows', String(sizes.heldOut), '--checkpoint-every', '1000'],
      );
    const study = await json<Study>('study', 'show', 'methods');
    expect(study.runs.length).toBe(methods.length * sizes.seeds);
    const all = await json<{ name: string; state: string; trainable: number }[]>('runs', 'list');
    const trained = all.filter(({ name }) => name.startsWith('methods '));
    expect(trained.map(({ state }) => state)).toEqual(study.runs.map(() => 'done'));
    for (const { trainable } of trained) {
      expect(trainable).toBeLessThanOrEqual(sizes.budget);
      expect(trainable).toBeGreaterThan(0.85 * sizes.budget);
    }
  });

  it('ends in a verdict on CommonsenseQA, GSM8K and the loss of held-out rows, whatever it says', async () => {
    const all = await json<{ name: string }[]>('runs', 'list');
    const names = all.map(({ name }) => name).filter((name) => name.startsWith('methods '));
    const asked = [
      ...['--benchmark', 'commonsenseqa,gsm8k,perplexity'],
      ...['--path', `commonsenseqa=${join(files, 'commonsenseqa.jsonl')}`],
      ...['--path', `gsm8k=${sharedData('gsm8k', 'test.jsonl')}`, '--max-tokens', 'gsm8k=128'],
      ...['--limit', `commonsenseqa=${sizes.commonsenseqa}`, '--limit', `gsm8k=${sizes.gsm8k}`],
      ...['--limit', `perplexity=${sizes.perplexity}`],
    ];
    // Seed by seed, each by all methods: whatever stops it leaves seeds that are complete. Nothing is scored twice.
    for (let seed = 0; seed < sizes.seeds; seed++)
      await run('compare', ...names.filter((name) => name.endsWith(` s${seed}`)), ...asked);
    const { rankings, arms } = await json<Compared>('compare', ...names, ...asked);
    expect(rankings.map(({ benchmark }) => benchmark)).toEqual(['commonsenseqa', 'gsm8k', 'perplexity']);
    expect(arms.length).toBe(3);
    for (const { ranking, comparisons } of arms) {
      console.log(ranking.sentence, ...comparisons.map(({ sentence }) => sentence));
      expect(ranking.subjects.length).toBe(methods.length);
      for (const { score, interval, seeds } of ranking.subjects) {
        expect(seeds.length).toBe(sizes.seeds);
        expect(score).toBeGreaterThanOrEqual(interval[0]);
        expect(score).toBeLessThanOrEqual(interval[1]);
      }
      for (const { sentence, verdict, outlook } of comparisons) {
        expect(sentence).not.toBe('');
        // What is not told yet comes with what would tell it.
        if (verdict === 'cannot_tell') expect(outlook).not.toBeNull();
      }
    }
  });
});

/** Rows to train on: short sums, and questions that are asked as the benchmark asks them; and others to score. */
function writeStudyFiles(folder: string): void {
  const read = (...path: string[]) =>
    readFileSync(sharedData(...path), 'utf8')
      .trim()
      .split('\n');
  const write = (name: string, lines: readonly string[]) =>
    writeFileSync(join(folder, `${name}.jsonl`), `${lines.join('\n')}\n`);
  const sums = read('gsm8k', 'train.jsonl')
    .map((line) => JSON.parse(line) as { question: string; answer: string })
    .filter(({ question, answer }) => question.length + answer.length < 330)
    .map(({ question, answer }) => JSON.stringify({ prompt: question, answer }));
  write('gsm8k-short', sums);
  const questions = read('commonsenseqa', 'dev_rand_split.jsonl');
  write('commonsenseqa', questions.slice(0, 500));
  const taught = questions.slice(500).map((line) => {
    const { question, choices, answerKey } = JSON.parse(line) as {
      question: string;
      choices: { label: string[]; text: string[] };
      answerKey: string;
    };
    const answers = choices.label.map((label, i) => `\n${label}. ${choices.text[i]}`);
    return JSON.stringify({ prompt: question + answers.join(''), answer: answerKey });
  });
  write('csqa-train', taught);
}
