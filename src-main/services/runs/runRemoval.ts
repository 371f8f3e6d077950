import { rmSync } from 'node:fs';
import { runSchema, type Run } from '../../contract/entities.ts';
import { listEvaluations } from '../../store/results.ts';
import { findRun } from '../../store/runs.ts';
import type { ServiceContext } from '../context.ts';
import { bytesOnlyIn } from '../machine/folderBytes.ts';

/** Takes runs away and brings them back, with their curves, checkpoints and evaluations. */
export interface RunRemoval {
  remove(run: Run): void;
  restore(id: string): Run;
  /** Bytes that removing a run frees. */
  freedBytes(run: Run): number;
}

/**
 * @param options.onDeleted is told when a run is deleted for good
 * @param options.bringBack brings back what a restored run needs
 */
export function createRunRemoval(
  context: ServiceContext,
  { onDeleted, bringBack }: { onDeleted: (runId: string) => void; bringBack: (run: Run) => void },
): RunRemoval {
  const { paths, database, emit, trash } = context;
  trash.ofKind('runs', (entity) => {
    const { id } = runSchema.parse(entity);
    onDeleted(id);
    rmSync(paths.runFolder(id), { recursive: true, force: true });
  });
  return {
    remove({ id }) {
      trash.put('runs', id);
      emit({ type: 'run.removed', runId: id });
    },
    restore(id) {
      const isTaken = (name: string, entity: unknown) =>
        findRun(database, runSchema.parse(entity).project, name) !== null;
      trash.restore('runs', id, isTaken);
      const run = findRun(database, context.project, id)!;
      bringBack(run);
      emit({ type: 'run', run });
      const scores = listEvaluations(database, run.project).filter(({ runId }) => runId === id);
      for (const evaluation of scores.toReversed()) emit({ type: 'evaluation', evaluation });
      return run;
    },
    freedBytes: ({ id }) => bytesOnlyIn(paths.runFolder(id)),
  };
}
