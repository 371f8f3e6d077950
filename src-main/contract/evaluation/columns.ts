import type { Evaluation } from '../results.ts';

/** Key of what was scored and how, without by whom: scores with the same one can be compared. */
export function columnKey(evaluation: Evaluation): string {
  const { benchmark, version, dataHash, shots, n, prompts } = evaluation;
  return JSON.stringify([
    benchmark,
    version,
    dataHash,
    shots,
    n,
    prompts?.chat ?? false,
    prompts?.system ?? null,
  ]);
}
