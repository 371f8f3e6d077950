import type { TrainConfig } from '../../contract/training.ts';
import { keptCheckpoints } from '../../options/lengths.ts';
import { countParameters } from '../count.ts';
import type { ModelShape } from '../../shape/modelShape.ts';
import { optimizerBytes } from './memory.ts';

/** Disk space of a run's checkpoints. */
export interface CheckpointDisk {
  /** Bytes of one: the adapter, or after full fine-tuning the whole model in f32, and the optimizer's state. */
  each: number;
  /** Checkpoints on the disk at the same time: the latest, the best, and the one being written. */
  atOnce: number;
  /** Of all that lie there at once. */
  bytes: number;
}

/**
 * What a run's checkpoints take (engine/training/checkpoint.ts), without file headers.
 * @throws StudioError config_invalid where the adapter does not fit the model
 */
export function checkpointDisk(shape: ModelShape, config: TrainConfig): CheckpointDisk {
  const count = countParameters(shape, config.adapter);
  const trained = config.adapter.method === 'full' ? 4 * count.base : count.adapterBytes.f32;
  const each = trained + optimizerBytes(config, count.trainable);
  const atOnce = keptCheckpoints(config) + 1 + (config.keepBest ? 1 : 0);
  return { each, atOnce, bytes: each * atOnce };
}
