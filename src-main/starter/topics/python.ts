import { drawSplits, type Draws, type Splits } from '../draws.ts';

/** Python expressions: what they are in words, as text, and as functions with unit tests in HumanEval's form. */

/** A row in HumanEval's form. */
export interface FunctionTask {
  task_id: string;
  prompt: string;
  entry_point: string;
  canonical_solution: string;
  test: string;
}

type Value = number | string | readonly number[];

/** Something that an expression can be made of: of an argument, a number. */
interface Part {
  /** In the function's name. */
  word: string;
  phrase: (x: string) => string;
  code: (x: string) => string;
  compute: (x: Value) => number;
  argument: keyof typeof argumentNames;
  /** An argument of which this is n (2 to 9, or one more or less); null: there is none. */
  having: (n: number) => Value | null;
}

const argumentNames = {
  number: ['n', 'x', 'value'],
  text: ['s', 'text', 'word'],
  list: ['xs', 'items', 'numbers'],
} as const;

const listOf = (x: Value) => x as readonly number[];

const parts: readonly Part[] = [
  {
    word: 'number',
    argument: 'number',
    phrase: (x) => x,
    code: (x) => x,
    compute: (x) => x as number,
    having: (n) => n,
  },
  {
    word: 'square',
    argument: 'number',
    phrase: (x) => `the square of ${x}`,
    code: (x) => `${x} * ${x}`,
    compute: (x) => (x as number) ** 2,
    having: (n) => (Number.isInteger(Math.sqrt(n)) ? Math.sqrt(n) : null),
  },
  {
    word: 'length',
    argument: 'text',
    phrase: (x) => `the length of ${x}`,
    code: (x) => `len(${x})`,
    compute: (x) => (x as string).length,
    having: (n) => 'strawberry'.slice(0, n),
  },
  {
    word: 'size',
    argument: 'list',
    phrase: (x) => `the length of ${x}`,
    code: (x) => `len(${x})`,
    compute: (x) => listOf(x).length,
    having: (n) => Array.from({ length: n }, (_, i) => 10 - i),
  },
  {
    word: 'sum',
    argument: 'list',
    phrase: (x) => `the sum of ${x}`,
    code: (x) => `sum(${x})`,
    compute: (x) => listOf(x).reduce((a, b) => a + b, 0),
    having: (n) => [1, n - 1],
  },
  {
    word: 'largest',
    argument: 'list',
    phrase: (x) => `the largest of ${x}`,
    code: (x) => `max(${x})`,
    compute: (x) => listOf(x).reduce((a, b) => Math.max(a, b)),
    having: (n) => [0, n, 1],
  },
  {
    word: 'smallest',
    argument: 'list',
    phrase: (x) => `the smallest of ${x}`,
    code: (x) => `min(${x})`,
    compute: (x) => listOf(x).reduce((a, b) => Math.min(a, b)),
    having: (n) => [n + 3, n, n + 1],
  },
  {
    word: 'first',
    argument: 'list',
    phrase: (x) => `the first of ${x}`,
    code: (x) => `${x}[0]`,
    compute: (x) => listOf(x)[0]!,
    having: (n) => [n, 4, 0],
  },
  {
    word: 'last',
    argument: 'list',
    phrase: (x) => `the last of ${x}`,
    code: (x) => `${x}[-1]`,
    compute: (x) => listOf(x).at(-1)!,
    having: (n) => [6, 11, n],
  },
];

/** What is done with a number. */
interface Change {
  word: string;
  phrase: (of: string, k: number) => string;
  code: (of: string, k: number) => string;
  compute: (of: number, k: number) => number | boolean;
}

const changes: readonly Change[] = [
  {
    word: 'plus',
    phrase: (of, k) => `${of} plus ${k}`,
    code: (of, k) => `${of} + ${k}`,
    compute: (of, k) => of + k,
  },
  {
    word: 'minus',
    phrase: (of, k) => `${of} minus ${k}`,
    code: (of, k) => `${of} - ${k}`,
    compute: (of, k) => of - k,
  },
  {
    word: 'times',
    phrase: (of, k) => `${of} times ${k}`,
    code: (of, k) => `${of} * ${k}`,
    compute: (of, k) => of * k,
  },
  {
    word: 'above',
    phrase: (of, k) => `whether ${of} is greater than ${k}`,
    code: (of, k) => `${of} > ${k}`,
    compute: (of, k) => of > k,
  },
  {
    word: 'below',
    phrase: (of, k) => `whether ${of} is less than ${k}`,
    code: (of, k) => `${of} < ${k}`,
    compute: (of, k) => of < k,
  },
  {
    word: 'equal',
    phrase: (of, k) => `whether ${of} is equal to ${k}`,
    code: (of, k) => `${of} == ${k}`,
    compute: (of, k) => of === k,
  },
];

function drawn(draws: Draws) {
  const part = draws.pick(parts);
  return {
    part,
    change: draws.pick(changes),
    name: draws.pick(argumentNames[part.argument]),
    k: draws.between(2, 9),
  };
}

/** Expressions beside what they are in words. */
export function expressions(draws: Draws): string {
  const lines = Array.from({ length: 5 }, () => {
    const { part, change, name, k } = drawn(draws);
    const kind = draws.between(0, 3);
    if (kind === 0) return `${part.code(name)} is ${part.phrase(name)}.`;
    const [code, phrase] = [change.code(part.code(name), k), change.phrase(part.phrase(name), k)];
    if (kind === 1) return `${code} is ${phrase}.`;
    return `In Python ${phrase} is ${code}.`;
  });
  return lines.join('\n');
}

/** Programs without a word about what they do. */
export function programs(draws: Draws): string {
  const { part, change, name, k } = drawn(draws);
  const other = drawn(draws);
  return [
    `def ${draws.pick(['f', 'g', 'h'])}(${name}):`,
    `    y = ${part.code(name)}`,
    `    z = ${change.code('y', k)}`,
    `    return ${draws.pick(['y', 'z'])}`,
    '',
    `y = ${other.change.code(other.part.code(other.name), other.k)}`,
    'print(y)',
  ].join('\n');
}

const examples = {
  number: [3, 7, 0, 12],
  text: ['tree', 'a', 'window', 'garden'],
  list: [[3, 1, 2], [5, 8], [4], [2, 9, 6, 1]],
} as const satisfies Record<Part['argument'], readonly Value[]>;

/** Arguments that a function is tried with: some that it always is, and those whose part is k or next to it. */
function tried({ argument, having }: Part, k: number): Value[] {
  const near = [k - 1, k, k + 1].map(having).filter((value) => value !== null);
  const all = [...examples[argument], ...near].map((value) => JSON.stringify(value));
  return [...new Set(all)].map((value) => JSON.parse(value) as Value);
}

/** Functions of one line: a part of the argument, changed by a number. */
export function functionTasks(draws: Draws): Splits<FunctionTask> {
  let count = 0;
  return drawSplits(
    () => functionTask(draws, `Starter/${count++}`),
    ({ prompt }) => prompt,
  );
}

function functionTask(draws: Draws, id: string): FunctionTask {
  const { part, change, name, k } = drawn(draws);
  const entryPoint = draws.pick([
    `${part.word}_${change.word}`,
    `${change.word}_${part.word}`,
    'solve',
    'work',
  ]);
  const written = (value: number | boolean) =>
    typeof value === 'boolean' ? (value ? 'True' : 'False') : String(value);
  const checks = tried(part, k).map(
    (value) =>
      `    assert candidate(${JSON.stringify(value)}) == ${written(change.compute(part.compute(value), k))}`,
  );
  return {
    task_id: id,
    prompt: `def ${entryPoint}(${name}):\n    """Return ${change.phrase(part.phrase(name), k)}."""\n`,
    entry_point: entryPoint,
    canonical_solution: `    return ${change.code(part.code(name), k)}\n`,
    test: `def check(candidate):\n${checks.join('\n')}\n`,
  };
}
