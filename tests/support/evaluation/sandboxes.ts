import { findSandbox } from '../../../src-main/evaluation/sandbox/findSandbox.ts';
import { usualTimeoutSeconds, type Sandbox } from '../../../src-main/evaluation/sandbox/sandbox.ts';
import type { HumanEvalTask } from '../../../src-main/evaluation/graders/humanEval.ts';

/** The sandboxes that work on this machine, and for names of tests why others do not. */
export async function sandboxesHere(): Promise<
  { kind: Sandbox['kind']; sandbox: Sandbox | null; note: string }[]
> {
  const signal = new AbortController().signal;
  const kinds = ['bubblewrap', 'pyodide'] as const;
  return Promise.all(
    kinds.map((kind) =>
      findSandbox(signal, [kind]).then(
        (sandbox) => ({ kind, sandbox, note: '' }),
        (error: unknown) => ({ kind, sandbox: null, note: ` (skipped: ${(error as Error).message})` }),
      ),
    ),
  );
}

/** The one that the studio takes on this machine. */
export const bestSandbox = (): Promise<Sandbox | null> =>
  findSandbox(new AbortController().signal).catch(() => null);

/** Runs one program; `tests` decide. */
export function runOne(sandbox: Sandbox, source: string, tests = '', timeoutSeconds = usualTimeoutSeconds) {
  const { signal } = new AbortController();
  return sandbox.run({ id: 'one', source, tests }, { timeoutSeconds, signal });
}

/** Tasks in the form of HumanEval's, with their right solutions. */
export const smallTasks: readonly HumanEvalTask[] = [
  {
    taskId: 'Small/0',
    prompt: 'from typing import List\n\n\ndef total(numbers: List[int]) -> int:\n    """ Sum. """\n',
    entryPoint: 'total',
    canonicalSolution: '    return sum(numbers)\n',
    test: '\n\ndef check(candidate):\n    assert candidate([1, 2]) == 3\n    assert candidate([]) == 0\n',
  },
  {
    taskId: 'Small/1',
    prompt: 'def twice(text: str) -> str:\n    """ The text, two times. """\n',
    entryPoint: 'twice',
    canonicalSolution: '    return text * 2\n',
    test: 'def check(candidate):\n    assert candidate("ab") == "abab"\n',
  },
];

export const asJsonLines = (rows: readonly object[]): string =>
  rows.map((row) => `${JSON.stringify(row)}\n`).join('');

/** A data file as HumanEval's. */
export const taskLines = (tasks: readonly HumanEvalTask[] = smallTasks): string =>
  asJsonLines(
    tasks.map(({ taskId, prompt, entryPoint, canonicalSolution, test }) => ({
      task_id: taskId,
      prompt,
      entry_point: entryPoint,
      canonical_solution: canonicalSolution,
      test,
    })),
  );
