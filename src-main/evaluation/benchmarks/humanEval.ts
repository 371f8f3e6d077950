import {
  humanEvalInstruct as instruct,
  humanEvalMaxTokens,
  humanEvalProgram,
  humanEvalStop,
  humanEvalVersion,
  instructCompletion,
  type HumanEvalTask,
} from '../graders/humanEval.ts';
import {
  benchmarkDefaults,
  type BenchmarkItem,
  type BenchmarkRecord,
  type GeneratingBenchmark,
} from './benchmark.ts';
import { missingField, requiredText } from './recordFields.ts';

function taskOf(record: BenchmarkRecord): HumanEvalTask {
  const text = (name: string) => requiredText(record, 'HumanEval', name);
  const entryPoint = text('entry_point');
  if (!/^[A-Za-z_]\w*$/.test(entryPoint))
    throw missingField(record, 'HumanEval', '"entry_point" with the name of a function');
  return {
    taskId: text('task_id'),
    prompt: text('prompt'),
    entryPoint,
    canonicalSolution: text('canonical_solution'),
    test: text('test'),
  };
}

function itemOf(task: HumanEvalTask): BenchmarkItem {
  return {
    id: task.taskId,
    group: null,
    question: task.prompt,
    solution: task.canonicalSolution,
    target: `its tests pass (${task.entryPoint})`,
    task,
  };
}

const common: Omit<GeneratingBenchmark, 'name' | 'label' | 'about' | 'version' | 'item' | 'programOf'> = {
  ...benchmarkDefaults('generate'),
  data: 'HumanEval.jsonl, packed with gzip or not.',
  shots: { usual: 0, most: 0 },
  maxTokens: humanEvalMaxTokens,
  runsCode: true,
  delimiter: '',
  stop: humanEvalStop,
  // What it came to is told by its program.
  grade: (_item, output) => ({ correct: null, answer: output }),
};

/** A function is continued behind its docstring (lm-evaluation-harness 0.4, task humaneval). */
export const humanEval: GeneratingBenchmark = {
  ...common,
  name: 'humaneval',
  label: 'HumanEval',
  about:
    'Python functions from their docstrings: pass@k of programs that are really run, in a sandbox and once you agreed.',
  version: humanEvalVersion,
  item: (record) => itemOf(taskOf(record)),
  programOf: ({ task }, output, id) => humanEvalProgram(task!, output, id),
};

/** The same, asked of a chat model, whose answer begins with the function (task humaneval_instruct). */
export const humanEvalInstruct: GeneratingBenchmark = {
  ...common,
  name: 'humaneval_instruct',
  label: 'HumanEval, instruct',
  about:
    'HumanEval asked as a user’s turn, for chat models: pass@k of programs that are really run, in a sandbox and once you agreed.',
  version: 'humaneval_instruct-1',
  item(record) {
    const task = taskOf(record);
    const { user, answerPrefix } = instruct(task);
    return { ...itemOf(task), question: user, answerBegin: answerPrefix };
  },
  programOf: ({ task }, output, id) => humanEvalProgram(task!, instructCompletion(output), id),
};
