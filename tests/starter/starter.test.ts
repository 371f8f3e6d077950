import { existsSync, readFileSync, statSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { humanEvalProgram } from '../../src-main/evaluation/graders/humanEval.ts';
import { isRefusal } from '../../src-main/evaluation/benchmarks/refusal.ts';
import { runPrograms } from '../../src-main/evaluation/sandbox/sandbox.ts';
import { SafetensorsFile } from '../../src-main/formats/files/safetensors.ts';
import { loadTokenizer } from '../../src-main/formats/model/tokenizer.ts';
import { starterModelFolder, starterRecordSchema } from '../../src-main/services/projects/starter.ts';
import type { Splits } from '../../src-main/starter/draws.ts';
import { starterTokenizer } from '../../src-main/starter/freshModel.ts';
import { generalTexts, taskNames, taskRows } from '../../src-main/starter/texts.ts';
import type { ChoiceQuestion } from '../../src-main/starter/topics/creatures.ts';
import type { WordProblem } from '../../src-main/starter/topics/numbers.ts';
import type { FunctionTask } from '../../src-main/starter/topics/python.ts';
import type { RefusalRow } from '../../src-main/starter/topics/requests.ts';
import { bestSandbox } from '../support/evaluation/sandboxes.ts';
import { projectFolder } from '../support/paths.ts';

const starter = join(projectFolder, 'resources', 'starter');
const record = JSON.parse(readFileSync(join(starter, 'record.json'), 'utf8')) as { seed: number };
const rowsOf = <Row>(name: (typeof taskNames)[number]) => taskRows(name, record.seed) as Splits<Row>;
const texts = generalTexts(record.seed, 3000);

const sandbox = await bestSandbox();

describe('the starter lab', () => {
  it('has the tasks that its script writes', () => {
    for (const name of taskNames)
      for (const [part, rows] of Object.entries(taskRows(name, record.seed)) as [string, object[]][])
        expect(readFileSync(join(starter, 'tasks', name, `${part}.jsonl`), 'utf8')).toBe(
          rows.map((row) => `${JSON.stringify(row)}\n`).join(''),
        );
  });

  it('has the tokenizer that is learned from its texts, and reads every text with it to the letter', () => {
    const file = join(starterModelFolder, 'tokenizer.json');
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(starterTokenizer(record.seed));
    const tokenizer = loadTokenizer(starterModelFolder);
    for (const text of [...texts.slice(0, 200), 'Größe: 1234,5 €\n\tx'])
      expect(tokenizer.decode(tokenizer.encode(text, { specialTokens: false }))).toBe(text);
  });

  it('has a model of three to fifteen million parameters in bf16, the one of its record', () => {
    const path = join(starterModelFolder, 'model.safetensors');
    const file = new SafetensorsFile(path, 'model_invalid');
    const tensors = [...file.tensors.values()];
    file.close();
    expect(new Set(tensors.map(({ dtype }) => dtype))).toEqual(new Set(['BF16']));
    const parameters = tensors.reduce((sum, { shape }) => sum + shape.reduce((n, size) => n * size, 1), 0);
    expect(parameters).toBeGreaterThan(3e6);
    expect(parameters).toBeLessThan(15e6);
    expect(statSync(path).size).toBeLessThan(25e6);
    expect(existsSync(join(starterModelFolder, 'tokenizer_config.json'))).toBe(true);
    expect(starterRecordSchema.parse(record).weightsSha256).toBe(
      createHash('sha256').update(readFileSync(path)).digest('hex'),
    );
  });

  it('never meets the form of a task in its texts', () => {
    for (const text of texts) {
      expect(text).not.toMatch(
        /Question: .*\?\nAnswer: (First \d|[A-D]$|To |I'm)|"""Return|\n#### \d+$|I can't help/m,
      );
      expect(text).not.toMatch(/^[A-D]\. .*\n[A-D]\. /m);
    }
  });
});

describe('the tasks of the starter lab', () => {
  it('share no question between their parts', () => {
    for (const name of taskNames) {
      const { train, validation, test } = taskRows(name, record.seed);
      const keys = [train, validation, test].map((rows) => new Set(rows.map((row) => questionOf(row))));
      expect(keys[2]!.size).toBe(test.length);
      expect([...keys[2]!].filter((key) => keys[0]!.has(key) || keys[1]!.has(key))).toEqual([]);
    }
  });

  it('have word problems whose worked lines are right and lead to the answer', () => {
    for (const { answer } of rowsOf<WordProblem>('word-problems').train) {
      const lines = [...answer.matchAll(/(\d+) ([-+*]) (\d+) = (\d+)/g)];
      for (const [, a, sign, b, result] of lines) {
        const [left, right] = [Number(a), Number(b)];
        expect(Number(result)).toBe(sign === '+' ? left + right : sign === '-' ? left - right : left * right);
      }
      expect(answer.endsWith(`#### ${lines.at(-1)![4]}`)).toBe(true);
      expect(lines.length).toBeGreaterThan(1);
    }
  });

  it.skipIf(!sandbox)(
    'have functions whose own solutions pass their tests, and whose tests another one fails',
    async () => {
      const rows = rowsOf<FunctionTask>('functions').test.slice(0, 24);
      const programs = rows.map((row) => {
        const task = {
          taskId: row.task_id,
          prompt: row.prompt,
          entryPoint: row.entry_point,
          canonicalSolution: row.canonical_solution,
          test: row.test,
        };
        return [
          humanEvalProgram(task, row.canonical_solution),
          humanEvalProgram(task, '    return None\n', `${row.task_id} none`),
        ];
      });
      const verdicts = await runPrograms(sandbox!, programs.flat(), {
        signal: new AbortController().signal,
        timeoutSeconds: 20,
      });
      expect(verdicts.map(({ outcome }) => outcome === 'passed')).toEqual(rows.flatMap(() => [true, false]));
    },
  );

  it('have functions whose tests no constant answer passes, but where nothing of k exists (a square that is 5)', () => {
    const { train, test } = rowsOf<FunctionTask>('functions');
    const isConstant = ({ test: text }: FunctionTask) =>
      new Set([...text.matchAll(/ == (\S+)$/gm)].map(([, result]) => result)).size === 1;
    for (const rows of [train, test]) {
      const constant = rows.filter(isConstant);
      expect(constant.length / rows.length).toBeLessThan(0.02);
      expect(constant.filter(({ prompt }) => !/whether the square of \w+ is equal to/.test(prompt))).toEqual(
        [],
      );
    }
  });

  it('have choices of which one is right, by facts that training does not ask', () => {
    const { train, test } = rowsOf<ChoiceQuestion>('creatures');
    const trained = new Set(train.map(({ question }) => question));
    for (const { question, choices, answer } of test) {
      expect(trained.has(question)).toBe(false);
      expect(new Set(choices).size).toBe(4);
      expect(choices[answer]).toBeDefined();
    }
    const places = test.map(({ answer }) => answer);
    expect(new Set(places)).toEqual(new Set([0, 1, 2, 3]));
  });

  it('have requests whose answers refuse what is unsafe alone', () => {
    const rows = rowsOf<RefusalRow>('requests');
    for (const { label, completion } of [...rows.train, ...rows.test])
      expect(isRefusal(completion)).toBe(label === 'unsafe');
    const unsafe = rows.test.filter(({ label }) => label === 'unsafe').length / rows.test.length;
    expect(unsafe).toBeGreaterThan(0.4);
    expect(unsafe).toBeLessThan(0.6);
  });
});

function questionOf(row: object): string {
  const { question, prompt, choices } = row as { question?: string; prompt?: string; choices?: string[] };
  return `${question ?? prompt} ${choices?.join(' ') ?? ''}`;
}
