import type { EvaluationItem } from '../../contract/results.ts';
import type { GeneratingBenchmark } from '../../evaluation/benchmarks/benchmark.ts';
import {
  runPrograms,
  usualTimeoutSeconds,
  type Program,
  type Sandbox,
} from '../../evaluation/sandbox/sandbox.ts';
import type { AskedItem } from './prompts.ts';

/** What is said of an item whose answers are there and were not run yet: it is kept, and not generated again. */
export const notRunYet = 'its programs were not run yet';

/**
 * Runs the answers of items that programs decide on, and grades each when all of its programs have ended.
 * @param items with their answers (`outputs`)
 * @throws StudioError cancelled
 */
export async function gradePrograms(
  sandbox: Sandbox,
  benchmark: GeneratingBenchmark,
  items: readonly { asked: AskedItem; item: EvaluationItem }[],
  options: { signal: AbortSignal; onItems(items: readonly EvaluationItem[]): void },
): Promise<EvaluationItem[]> {
  const places = new Map<Program, { item: number; sample: number }>();
  const programs = items.flatMap(({ asked, item }, i) =>
    item.outputs!.map((output, sample) => {
      const program = benchmark.programOf!(asked, output, `${item.id} (${sample + 1})`);
      places.set(program, { item: i, sample });
      return program;
    }),
  );
  const verdicts = items.map(({ item }) => item.outputs!.map(() => null as string | null));
  const left = items.map(({ item }) => item.outputs!.length);
  const graded: EvaluationItem[] = [];
  await runPrograms(sandbox, programs, {
    signal: options.signal,
    timeoutSeconds: usualTimeoutSeconds,
    onVerdict(program, verdict) {
      const place = places.get(program)!;
      verdicts[place.item]![place.sample] =
        verdict.outcome === 'passed' ? 'passed' : `${verdict.outcome}: ${verdict.error ?? ''}`.trim();
      if (--left[place.item]! > 0) return;
      const done = gradedItem(items[place.item]!.item, verdicts[place.item]!);
      graded.push(done);
      options.onItems([done]);
    },
  });
  return graded;
}

/** One answer is right or wrong; of several the share that passed is the grade. */
function gradedItem(item: EvaluationItem, verdicts: readonly (string | null)[]): EvaluationItem {
  const passed = verdicts.filter((verdict) => verdict === 'passed').length;
  const failure = verdicts.find((verdict) => verdict !== 'passed');
  return {
    ...item,
    state: 'graded',
    ...(verdicts.length === 1
      ? { correct: passed === 1 }
      : { correct: null, share: passed / verdicts.length }),
    answer:
      verdicts.length === 1 ? (passed === 1 ? 'passed' : 'failed') : `${passed} of ${verdicts.length} passed`,
    remark: failure ?? 'passed',
  };
}
