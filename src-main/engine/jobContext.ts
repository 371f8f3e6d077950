import { StudioError } from '../contract/errors.ts';
import type { Device, Products } from './graph/graph.ts';
import type { Tensorflow } from './graph/session.ts';
import type { ChatAsk, EngineEvent } from './messages.ts';

/** What a job of the engine gets from the process that it runs in. */
export interface JobContext {
  tf: Tensorflow;
  /** Elementwise work as XLA functions; worth their compilation from some model size on. */
  fusion: boolean;
  /** How bf16 matrices are multiplied; absent: by TensorFlow's bf16 kernels. */
  products?: Products | undefined;
  /** What computes; absent: the processor. */
  device?: Device | undefined;
  emit(event: EngineEvent): void;
  /** The stop that was asked for, or null. Lets waiting messages in first. */
  stopRequested(): Promise<{ save: boolean } | null>;
}

/** What a job gets besides that is asked again and again. */
export interface AskedContext extends JobContext {
  /** The next ask, once there is one; null: a stop was asked for. */
  nextAsk(): Promise<ChatAsk | null>;
  /** Whether the ask is to end where it is. Lets waiting messages in first. */
  isInterrupted(ask: number): Promise<boolean>;
}

/** @throws StudioError cancelled once a stop was asked for */
export async function throwIfStopped({ stopRequested }: Pick<JobContext, 'stopRequested'>): Promise<void> {
  if (await stopRequested()) throw new StudioError('cancelled', 'The job was cancelled.', 'Start it again.');
}
