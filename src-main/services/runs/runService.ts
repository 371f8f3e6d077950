import type { Run } from '../../contract/entities.ts';
import type { TrainConfig } from '../../contract/training.ts';
import type { EngineEvent } from '../../engine/messages.ts';
import type { WritableDatabase } from '../../store/database.ts';
import type { BranchRequest } from './branches.ts';
import type { WantedTraining } from './fit.ts';
import type { RunRequest } from './newRun.ts';
import type { RunQueue } from './queue.ts';
import type { StoredRuns } from './storedRuns.ts';

/** Sees the engine's events of one run. */
export type Watch = (event: EngineEvent) => void;

/** A run that waits for its turn or has it, and its end. */
export interface StartedRun {
  run: Run;
  ended: Promise<Run>;
}

export interface TogetherOptions {
  /** Who sees the engine's events of a run. */
  watch?: ((run: Run) => Watch) | undefined;
  /** Written with the runs. */
  record?: (database: WritableDatabase) => void;
}

export interface RunService extends StoredRuns {
  /** Whose turn comes when. */
  queue: RunQueue;
  /**
   * Checks and creates a run, and puts it at the end of the queue; returns at once. `watch` sees the engine's events.
   * @param options.force starts also what does not fit into memory
   * @throws StudioError config_invalid, name_taken, does_not_fit; as `startOf` does
   */
  start(options: RunRequest, watch?: Watch): Promise<StartedRun>;
  /**
   * Checks and creates runs that belong together, or none of them.
   * @throws StudioError as `start` does
   */
  startAll(requests: readonly RunRequest[]): Promise<StartedRun[]>;
  /**
   * Creates checked runs that belong together, or none of them, and puts them at the end of the queue in their order.
   * @throws StudioError name_taken
   */
  startTogether(runs: readonly Run[], options?: TogetherOptions): StartedRun[];
  /** Asks before trainings are started that need more memory than there is. @throws StudioError does_not_fit */
  refuseWhatDoesNotFit(wanted: readonly WantedTraining[]): Promise<void>;
  /**
   * Puts a run that ended before its last step at the front of the queue; one that has kept no checkpoint begins anew.
   * @param options.force also where it does not fit into memory
   * @throws StudioError config_invalid, busy, no_checkpoint, model_changed, does_not_fit
   */
  resume(
    reference: string,
    watch?: Watch,
    changes?: Partial<TrainConfig>,
    options?: { force?: boolean },
  ): Promise<StartedRun>;
  /**
   * Puts runs at the front of the queue in their order: those that wait, and those that ended before their last step.
   * One that runs is left alone. Where one cannot go on, nothing changes.
   * @param options.force also where those that ended do not fit into memory
   * @throws StudioError does_not_fit, and as `resume` does
   */
  resumeTogether(
    runs: readonly Run[],
    watch?: (run: Run) => Watch,
    options?: { force?: boolean },
  ): Promise<StartedRun[]>;
  /**
   * Makes a run that goes on from a checkpoint of another with changed options, and puts it at the end of the queue.
   * @param request.force also where it does not fit into memory
   * @throws StudioError not_found, config_invalid, name_taken, does_not_fit
   */
  branch(reference: string, request: BranchRequest & { force?: boolean }, watch?: Watch): Promise<StartedRun>;
  /** Ends a run after the current step; returns when it has ended. One that waits leaves the queue. */
  stop(reference: string, options: { save: boolean }): Promise<Run>;
  /** The same, with a checkpoint, of a run that is to go on later. */
  pause(reference: string): Promise<Run>;
  /** Pauses the runs that train and gives no other its turn: this process is about to end. */
  suspend(): Promise<void>;
  /** Takes a run away with all that it has kept; for a minute it can be brought back. */
  remove(reference: string): void;
  /** Marks runs that a dead process left running. */
  recover(): void;
}
