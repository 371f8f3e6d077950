import { randomBytes } from 'node:crypto';
import type { ProbeResult } from '../engine/protocol.ts';
import type { EngineCard, EngineHost } from '../engine/process/supervisor.ts';
import type { StudioEvent } from '../contract/events.ts';
import { StudioError } from '../contract/errors.ts';
import type { ReadableDatabase, WritableDatabase } from '../store/database.ts';
import type { RemovableKind } from '../store/trash.ts';
import type { HomePaths } from './homePaths.ts';

/** What every service is made from. */
export interface ServiceContext {
  paths: HomePaths;
  /** The project that is open. Another may be opened while the studio runs: read it when it is needed. */
  readonly project: string;
  /** For reading, beside whoever writes. */
  database: ReadableDatabase;
  /** @throws StudioError where the data folder was opened for reading only */
  writable(): WritableDatabase;
  engine: EngineHost;
  probe: EngineProbe;
  cards: UsableCards;
  /** So many tokens of prompts are held at once: what is asked with solved examples has some hundred times as many. */
  heldTokens: number;
  trash: Trash;
  emit(event: StudioEvent): void;
}

/** The cards that jobs compute on, one for each. */
export interface UsableCards {
  /** Once they were looked for: a job that starts before is given none, and takes the first. */
  found(): Promise<void>;
  /** None where jobs compute on the processor, and until an engine has said that it computes on a card. */
  usable(): readonly EngineCard[];
}

/** What the engine is. A core asks once: an answer takes a process that loads TensorFlow. */
export interface EngineProbe {
  /** The answer that is known; asks where there is none, or the last attempt failed. */
  ask(): Promise<ProbeResult>;
  /** Asks once more: a repair may have changed it. @param onLog gets what TensorFlow prints as it looks for devices */
  askAnew(onLog?: (line: string) => void): Promise<ProbeResult>;
  /** The card that the next job gets; null: there is none, or no choice. */
  card(): string | null;
  /** Whether an engine has answered that it computes on a card. */
  usesCards(): boolean;
}

/**
 * Runs, models, datasets and studies that were removed: gone from all lists, and brought back whole within a minute.
 */
export interface Trash {
  /** Says what files an entry of that kind has; its rows the trash deletes itself. */
  ofKind(kind: RemovableKind, deleteFiles: (entity: unknown) => void): void;
  put(kind: RemovableKind, id: string): void;
  /**
   * Brings an entry back, under its name where that is still free.
   * @param isTaken whether another entry like it has a name
   * @throws StudioError not_found where it is not in the trash (any more)
   */
  restore(kind: RemovableKind, id: string, isTaken: (name: string, entity: unknown) => boolean): void;
  /** Deletes for good what lies in it: when the studio ends, and what a dead process left when it begins. */
  empty(): void;
}

export function newId(): string {
  return randomBytes(8).toString('hex');
}

/** A name that is free, from a wish: `name`, `name-2`, `name-3` ... */
export function freeName(wish: string, taken: (name: string) => boolean): string {
  if (!taken(wish)) return wish;
  for (let n = 2; ; n++) if (!taken(`${wish}-${n}`)) return `${wish}-${n}`;
}

export function missing(kind: string, reference: string, known: readonly string[]): StudioError {
  return new StudioError(
    'not_found',
    `There is no ${kind} "${reference}".`,
    known.length > 0
      ? `Known: ${known.slice(0, 20).join(', ')}${known.length > 20 ? ', …' : ''}.`
      : `There is no ${kind} yet: add one first.`,
  );
}
