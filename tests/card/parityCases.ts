import { methods, type Method, type TrainConfigInput } from '../../src-main/contract/training.ts';

/** A training of a few steps on a small model, by the card and by the processor. */
export interface ParityTraining {
  name: string;
  config: TrainConfigInput;
  /** Greatest relative error of a loss and of a gradient's norm. */
  bounds: { loss: number; norm: number };
}

/** In f32 the order of sums differs, in bf16 what is rounded when. */
const bounds = { f32: { loss: 2e-4, norm: 2e-3 }, bf16: { loss: 1e-2, norm: 5e-2 } };

/** Longer than a card's block of queries, so that several are joined. */
export const parityContext = 640;

/** Six methods by what differs most between devices: 28 of them. */
export function parityTrainings(): ParityTraining[] {
  return [
    ...methods.map((method) => training('f32', method, 'f32')),
    ...methods.map((method) => training('bf16', method, 'bf16')),
    ...(['lora', 'idlora'] as const).flatMap((method) => [
      training('base in 8 bits', method, 'f32', { loadIn8bit: true }),
      training('base in 4 bits', method, 'bf16', { loadIn4bit: true }),
    ]),
    ...methods.map((method) =>
      training('packed, checkpointing', method, 'f32', { packing: true, gradientCheckpointing: true }),
    ),
    ...methods.map((method) =>
      training('8-bit AdamW, 2 passes', method, 'f32', { optimizer: 'adamw8bit', accumulate: 2 }),
    ),
  ];
}

function training(
  what: string,
  method: Method,
  precision: 'f32' | 'bf16',
  changes: Partial<TrainConfigInput> = {},
): ParityTraining {
  return {
    name: `${method}, ${what}`,
    config: {
      adapter: { method, rank: 8, alpha: 16, clusters: 2, dropout: method === 'full' ? 0 : 0.1 },
      learningRate: method === 'full' ? 1e-3 : 5e-3,
      schedule: 'constant',
      maxSteps: 4,
      batch: 2,
      context: parityContext,
      seed: 3,
      // Adam divides a gradient that is only noise by itself: the sign of noise is no parity.
      epsilon: 1e-4,
      checkpointEvery: 0,
      heldOutRows: 4,
      precision,
      ...changes,
    },
    bounds: bounds[precision],
  };
}
