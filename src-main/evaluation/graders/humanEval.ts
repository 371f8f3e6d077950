import { readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { StudioError } from '../../contract/errors.ts';
import type { HumanEvalReport, PassAtK } from '../../contract/evaluation/grading.ts';
import { wilsonInterval } from '../../statistics/intervals.ts';
import {
  runPrograms,
  usualTimeoutSeconds,
  type Program,
  type Sandbox,
  type Verdict,
} from '../sandbox/sandbox.ts';

/**
 * HumanEval as lm-evaluation-harness 0.4 has it (humaneval, humaneval_instruct): the prompt as it is, a completion up
 * to the first stop string, and a verdict by the tests of the task.
 */
export const humanEvalVersion = 'humaneval-1';

/** A completion ends before the first of these. */
export const humanEvalStop = ['\nclass', '\ndef', '\n#', '\nif', '\nprint'] as const;
/** Of a completion. */
export const humanEvalMaxTokens = 1024;

export interface HumanEvalTask {
  taskId: string;
  /** Imports, signature and docstring: what the model goes on from. */
  prompt: string;
  /** Name of the function that is tested. */
  entryPoint: string;
  canonicalSolution: string;
  /** Python that defines `check(candidate)`. */
  test: string;
}

/** A completion of a task, made anywhere. */
export interface HumanEvalSample {
  taskId: string;
  completion: string;
  /** In the file that it came from, from 1. */
  line: number;
}

/** What a chat model is asked, and the begin of its answer, behind which it goes on. */
export function humanEvalInstruct({ prompt }: HumanEvalTask): { user: string; answerPrefix: string } {
  return {
    user: `Write a solution to the following problem and make sure that it passes the tests:\n\`\`\`python\n${prompt}\n\`\`\`\n`,
    answerPrefix: `Here is the completed function:\n\`\`\`python\n${prompt}\n`,
  };
}

/** The code of an answer to `humanEvalInstruct`: it ends at the next fence. */
export function instructCompletion(answer: string): string {
  const fence = answer.indexOf('```');
  return fence === -1 ? answer : answer.slice(0, fence);
}

/** A text before the first of the stop strings. */
export function cutAtStop(text: string, stops: readonly string[] = humanEvalStop): string {
  const places = stops.map((stop) => text.indexOf(stop)).filter((place) => place !== -1);
  return places.length === 0
    ? text
    : text.slice(
        0,
        places.reduce((first, place) => Math.min(first, place)),
      );
}

/** The program of a completion: source and tests, one behind the other, are the harness's text to the letter. */
export function humanEvalProgram(task: HumanEvalTask, completion: string, id = task.taskId): Program {
  return {
    id,
    source: `${task.prompt}${completion}\n`,
    tests: `${task.test}\ncheck(${task.entryPoint})`,
  };
}

/**
 * The unbiased estimate that one of k completions passes, of a task of which c of n did: 1 - C(n-c, k) / C(n, k) (Chen
 * et al. 2021, section 2.1). n >= k.
 */
export function passAtK(n: number, c: number, k: number): number {
  if (n - c < k) return 1;
  if (k === 1) return c / n;
  let noneOf = 1;
  for (let i = n - c + 1; i <= n; i++) noneOf *= 1 - k / i;
  return 1 - noneOf;
}

/**
 * The mean of `passAtK` over tasks with its 95 % interval; not given where a task has fewer than k completions. The
 * interval is Wilson's over tasks: a task's estimate lies between 0 and 1, so that it scatters no more than right and
 * wrong would.
 */
export function meanPassAtK(
  tasks: readonly { taskId: string; samples: number; passed: number }[],
  k: number,
): PassAtK {
  const short = tasks.filter(({ samples }) => samples < k);
  if (tasks.length === 0 || short.length > 0) {
    const [first] = short;
    const reason = first
      ? `pass@${k} needs ${k} completions of every task; ${first.taskId} has ${first.samples}${short.length > 1 ? `, and ${short.length - 1} more have too few` : ''}.`
      : 'There is no task.';
    return { k, score: null, interval: null, reason };
  }
  const sum = tasks.reduce((total, { samples, passed }) => total + passAtK(samples, passed, k), 0);
  return { k, score: sum / tasks.length, interval: wilsonInterval(sum, tasks.length), reason: null };
}

/**
 * Runs every completion against the tests of its task.
 * @param options.onProgress told after each
 * @throws StudioError cancelled
 */
export async function gradeHumanEval(
  sandbox: Sandbox,
  tasks: readonly HumanEvalTask[],
  samples: readonly HumanEvalSample[],
  options: {
    signal: AbortSignal;
    k?: readonly number[];
    parallel?: number;
    timeoutSeconds?: number;
    onProgress?: (done: number, total: number) => void;
  },
): Promise<HumanEvalReport> {
  const { k = [1], timeoutSeconds = usualTimeoutSeconds, onProgress } = options;
  const byId = new Map(tasks.map((task) => [task.taskId, task]));
  const programs = samples.map(({ taskId, completion, line }) =>
    humanEvalProgram(byId.get(taskId)!, completion, `${taskId} (line ${line})`),
  );
  let done = 0;
  const verdicts: Verdict[] = await runPrograms(sandbox, programs, {
    signal: options.signal,
    timeoutSeconds,
    ...(options.parallel !== undefined && { parallel: options.parallel }),
    onVerdict: () => onProgress?.(++done, programs.length),
  });
  const graded = samples.map(({ taskId, line }, i) => ({
    taskId,
    line,
    passed: verdicts[i]!.outcome === 'passed',
    ...verdicts[i]!,
  }));
  const counts = new Map(tasks.map(({ taskId }) => [taskId, { taskId, samples: 0, passed: 0 }]));
  for (const { taskId, passed } of graded) {
    const count = counts.get(taskId)!;
    count.samples++;
    if (passed) count.passed++;
  }
  const perTask = [...counts.values()];
  return {
    benchmark: 'humaneval',
    version: humanEvalVersion,
    sandbox: { kind: sandbox.kind, description: sandbox.description },
    timeoutSeconds,
    passAtK: k.map((most) => meanPassAtK(perTask, most)),
    tasks: perTask,
    samples: graded,
  };
}

/** The benchmark has 214 kB; completions of many samples are longer. */
const mostBytes = 512 * 2 ** 20;
const mostShown = 5;

/**
 * The tasks of HumanEval.jsonl, packed with gzip or not.
 * @throws StudioError not_found, and dataset_invalid with the line of what is wrong
 */
export function readHumanEval(path: string): HumanEvalTask[] {
  const tasks = new Map<string, HumanEvalTask>();
  for (const { row, fail } of jsonLines(path)) {
    const text = (name: string) => {
      const value = row[name];
      if (typeof value === 'string' && value !== '') return value;
      const what = value === undefined ? 'is missing' : `is ${shorten(JSON.stringify(value))}`;
      throw fail(`"${name}" ${what}; a text is needed`);
    };
    const taskId = text('task_id');
    const entryPoint = text('entry_point');
    if (!/^[A-Za-z_]\w*$/.test(entryPoint))
      throw fail(`"entry_point" ${shorten(JSON.stringify(entryPoint))} is no name of a function`);
    if (tasks.has(taskId)) throw fail(`${shorten(taskId)} stands there a second time`);
    const [prompt, test, canonicalSolution] = [text('prompt'), text('test'), text('canonical_solution')];
    tasks.set(taskId, { taskId, prompt, entryPoint, canonicalSolution, test });
  }
  if (tasks.size === 0)
    throw new StudioError('dataset_empty', `${basename(path)} has no task.`, 'Choose HumanEval.jsonl.gz.');
  return [...tasks.values()];
}

/**
 * Completions as lines of `{"task_id": ..., "completion": ...}`, packed with gzip or not; each task has one or more.
 * @throws StudioError not_found, and dataset_invalid with the line of what is wrong, or the tasks without a completion
 */
export function readSamples(path: string, tasks: readonly HumanEvalTask[]): HumanEvalSample[] {
  const known = new Set(tasks.map(({ taskId }) => taskId));
  const samples: HumanEvalSample[] = [];
  for (const { row, line, fail } of jsonLines(path)) {
    const { task_id: taskId, completion } = row;
    if (typeof taskId !== 'string') throw fail('"task_id" is missing, or no text');
    if (!known.has(taskId)) throw fail(`the data have no task ${shorten(JSON.stringify(taskId))}`);
    if (typeof completion !== 'string') throw fail('"completion" is missing, or no text');
    samples.push({ taskId, completion, line });
  }
  const answered = new Set(samples.map(({ taskId }) => taskId));
  const open = [...known].filter((taskId) => !answered.has(taskId));
  if (open.length > 0)
    throw new StudioError(
      'dataset_invalid',
      `${basename(path)} has no completion of ${open.slice(0, mostShown).join(', ')}${open.length > mostShown ? ` and ${open.length - mostShown} more of ${known.size} tasks` : ''}.`,
      'Give at least one line for every task of the data; an empty completion counts as a wrong one.',
    );
  return samples;
}

interface JsonLine {
  row: Record<string, unknown>;
  line: number;
  fail: (what: string) => StudioError;
}

function* jsonLines(path: string): Generator<JsonLine> {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats) throw new StudioError('not_found', `There is no file ${path}.`, 'Check the path.');
  const name = basename(path);
  const invalid = (what: string, remedy: string) =>
    new StudioError('dataset_invalid', `${name} ${what}.`, remedy);
  if (!stats.isFile()) throw invalid('is a folder', 'Give a file of JSON lines.');
  if (stats.size > mostBytes) throw invalid(`has more than ${mostBytes} bytes`, 'Give it in parts.');
  const bytes = readFileSync(path);
  let content = bytes;
  if (bytes[0] === 0x1f && bytes[1] === 0x8b)
    try {
      content = gunzipSync(bytes, { maxOutputLength: mostBytes });
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error);
      throw invalid(`cannot be unpacked (${what})`, 'Fetch the file again.');
    }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(content);
  } catch {
    throw invalid('is no text in UTF-8', 'Save it as JSON lines in UTF-8.');
  }
  const lines = text.split('\n');
  for (const [i, content] of lines.entries()) {
    if (content.trim() === '') continue;
    const fail = (what: string) =>
      new StudioError('dataset_invalid', `${name}, line ${i + 1}: ${what}.`, 'Correct that line.');
    let row: unknown;
    try {
      row = JSON.parse(content);
    } catch (error) {
      throw fail(`it is not JSON (${error instanceof Error ? shorten(error.message) : String(error)})`);
    }
    if (typeof row !== 'object' || row === null || Array.isArray(row)) throw fail('it is no JSON object');
    yield { row: row as Record<string, unknown>, line: i + 1, fail };
  }
}

function shorten(text: string): string {
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
