import type { Run } from '../../src-main/contract/entities.ts';
import type { Study } from '../../src-main/contract/studies.ts';

/** A run of a study's plan; null where it was removed. */
export interface StudyRun {
  arm: number;
  seed: number;
  run: Run | null;
}

export function runsOf(study: Study, runs: readonly Run[]): StudyRun[] {
  const known = new Map(runs.map((run) => [run.id, run]));
  return study.runs.map(({ runId, arm, seed }) => ({ arm, seed, run: known.get(runId) ?? null }));
}

export function doneOf(study: Study, runs: readonly Run[]): number {
  return runsOf(study, runs).filter(({ run }) => run?.state === 'done').length;
}

/** The study that a run belongs to. */
export function studyOf(runId: string, studies: readonly Study[]): Study | undefined {
  return studies.find((study) => study.runs.some((entry) => entry.runId === runId));
}
