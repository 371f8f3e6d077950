import type { BenchmarkName } from '../contract/evaluation/benchmarks.ts';
import { findBenchmark } from '../evaluation/benchmarks/registry.ts';
import { list, number, text, usageError, type Values } from './arguments.ts';

/** Options of `eval` and `compare`: what is asked, on which items, and how. */
export const benchmarkOptions = {
  benchmark: { type: 'string' },
  path: { type: 'string', multiple: true },
  limit: { type: 'string', multiple: true },
  shots: { type: 'string', multiple: true },
  'max-tokens': { type: 'string', multiple: true },
  chat: { type: 'boolean' },
  system: { type: 'string' },
  pattern: { type: 'string' },
  judge: { type: 'string' },
  'judge-adapter': { type: 'string' },
  samples: { type: 'string' },
  temperature: { type: 'string' },
  'top-p': { type: 'string' },
  'allow-code-execution': { type: 'boolean' },
  task: { type: 'string' },
  seed: { type: 'string' },
  precision: { type: 'string' },
} as const;

/** Options of which each benchmark may have its own, as `--limit gsm8k=32 --limit commonsenseqa=400`. */
const ownOptions = ['path', 'limit', 'shots', 'max-tokens'] as const;

/**
 * What is asked of every benchmark that --benchmark names, for the schemas of `evaluations.start` and `.compare`.
 * @param naming the option that names them on this command line
 * @throws StudioError not_found for an unknown benchmark, usage for a value that belongs to none that is asked
 */
export function benchmarkSettings(values: Values, naming = '--benchmark') {
  const names = list(values, 'benchmark') ?? ['perplexity'];
  for (const name of names) findBenchmark(name);
  for (const option of ownOptions) checkOwn(values, option, names, naming);
  return names.map((benchmark) => {
    const own = Object.fromEntries(
      ownOptions.map((option) => [option, ownValue(values, option, benchmark)]),
    ) as Values;
    const path = text(own, 'path');
    return {
      benchmark: benchmark as BenchmarkName,
      data: path === undefined ? undefined : { path },
      limit: number(own, 'limit'),
      shots: number(own, 'shots'),
      maxTokens: number(own, 'max-tokens'),
      chat: values['chat'] === true,
      system: text(values, 'system'),
      pattern: text(values, 'pattern'),
      judge:
        text(values, 'judge') === undefined
          ? undefined
          : { model: text(values, 'judge'), adapter: text(values, 'judge-adapter') },
      samples: number(values, 'samples'),
      temperature: number(values, 'temperature'),
      topP: number(values, 'top-p'),
      task: number(values, 'task'),
      seed: number(values, 'seed'),
    };
  });
}

/** The parts of `NAME=VALUE`; a value of all, such as a path with a sign of equality, has no name before it. */
function partsOf(given: string): { benchmark: string | null; value: string } {
  const [, name, value] = /^([a-z]\w*)=(.*)$/s.exec(given) ?? [];
  return name === undefined ? { benchmark: null, value: given } : { benchmark: name, value: value! };
}

function given(values: Values, option: string) {
  return ((values[option] as string[] | undefined) ?? []).map(partsOf);
}

/** The value of one benchmark, else that of all. Undefined: none was given. */
function ownValue(values: Values, option: string, benchmark: string): string | undefined {
  const all = given(values, option);
  return (all.find((one) => one.benchmark === benchmark) ?? all.find((one) => one.benchmark === null))?.value;
}

function checkOwn(values: Values, option: string, names: readonly string[], naming: string): void {
  const seen = new Set<string | null>();
  for (const { benchmark, value } of given(values, option)) {
    if (benchmark !== null && !names.includes(benchmark))
      throw usageError(
        `--${option} ${benchmark}=${value} is for a benchmark that is not asked.`,
        `Asked are ${names.join(', ')}. Write ${benchmark} among ${naming}, or a path that begins with a name and "=" as ./${benchmark}=${value}`,
      );
    if (seen.has(benchmark))
      throw usageError(
        `--${option} is given twice${benchmark === null ? '' : ` for ${benchmark}`}.`,
        `Write it once for all benchmarks, and once as --${option} NAME=VALUE for each that has its own.`,
      );
    seen.add(benchmark);
  }
}
