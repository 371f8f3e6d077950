import { z } from 'zod';
import { nothing } from '../inputs.ts';

/** Running code that a model wrote, and what benchmarks of code come to by it. Times are seconds. */

/** What a generated program may use. The solutions of HumanEval need a tenth of it. */
export const programLimits = {
  /** Wall time, as in lm-evaluation-harness. */
  seconds: 3,
  memoryBytes: 512 * 2 ** 20,
  /** With the two that guard it; they share the machine with whatever else a program starts. */
  processes: 8,
  /** All files in /tmp together. */
  temporaryBytes: 16 * 2 ** 20,
} as const;

const sandboxSchema = z.object({
  /** What keeps the programs in: the kernel, or Node around Python as WebAssembly. */
  kind: z.enum(['bubblewrap', 'pyodide']),
  /** `bubblewrap 0.8.0, Python 3.11.2`. */
  description: z.string(),
});

/** Whether generated code may be run on this machine, and where it would be. */
export const codeExecutionSchema = z.object({
  /** The user agreed to it; at first nobody has. */
  isAllowed: z.boolean(),
  /** Null: none works here. */
  sandbox: sandboxSchema.nullable(),
  /** Why none works, and what to install. */
  problem: z.object({ message: z.string(), remedy: z.string() }).nullable(),
});
export type CodeExecution = z.infer<typeof codeExecutionSchema>;

export const passAtKSchema = z.object({
  k: z.number().int(),
  /** Mean over tasks; null where a task has fewer than k completions. */
  score: z.number().nullable(),
  /** 95 %. */
  interval: z.tuple([z.number(), z.number()]).nullable(),
  /** Why there is no score. */
  reason: z.string().nullable(),
});
export type PassAtK = z.infer<typeof passAtKSchema>;

export const humanEvalReportSchema = z.object({
  benchmark: z.literal('humaneval'),
  version: z.string(),
  sandbox: sandboxSchema,
  /** Wall time that each program had. */
  timeoutSeconds: z.number(),
  passAtK: z.array(passAtKSchema),
  tasks: z.array(z.object({ taskId: z.string(), samples: z.number().int(), passed: z.number().int() })),
  /** In the order of their file. */
  samples: z.array(
    z.object({
      taskId: z.string(),
      line: z.number().int(),
      passed: z.boolean(),
      outcome: z.enum(['passed', 'failed', 'timed_out', 'out_of_memory', 'killed']),
      /** The last lines of its error, or why it was ended. */
      error: z.string().nullable(),
      seconds: z.number(),
    }),
  ),
});
export type HumanEvalReport = z.infer<typeof humanEvalReportSchema>;

export const humanEvalInput = z.object({
  /** HumanEval.jsonl or .jsonl.gz. */
  path: z.string().min(1),
  /** Lines of {task_id, completion}. */
  samples: z.string().min(1),
  k: z.array(z.number().int().min(1).max(1000)).min(1).max(20).default([1]),
  timeoutSeconds: z.number().min(0.5).max(60).default(3),
});

export const gradingProcedures = {
  'evaluations.codeExecution': { input: nothing, output: codeExecutionSchema },
  /** Keeps what the user decided for this data folder. */
  'evaluations.allowCodeExecution': {
    input: z.object({ isAllowed: z.boolean() }),
    output: codeExecutionSchema,
  },
  /** Runs completions in the sandbox, once the user has agreed to that; progress of the task `grade humaneval`. */
  'evaluations.gradeHumanEval': { input: humanEvalInput, output: humanEvalReportSchema },
} as const;
