import { fillStored } from '../state/stored.svelte.ts';
import { restoreForm, type TrainForm } from './trainForm.ts';

/** Where the Train page keeps its form, and whom its values were planned for. */
const key = 'studio.train';
export const plannedKey = 'studio.train.planned';

/** A model that is not in the library: the form's values were made for it. Null: for the one that is chosen. */
export interface Planned {
  model: string | null;
}

export function restorePlanned(saved: Partial<Record<keyof Planned, unknown>>): Planned {
  return { model: typeof saved.model === 'string' ? saved.model : null };
}

/**
 * Puts values into the Train page's form before it is opened; what is not given stays as it was. @param plannedFor a
 * model that cannot be chosen there: then none is, as no other has these numbers
 */
export function fillTrainForm(values: Partial<TrainForm>, plannedFor: string | null = null): void {
  fillStored<TrainForm>(key, restoreForm, plannedFor === null ? values : { ...values, modelId: null });
  fillStored<Planned>(plannedKey, restorePlanned, { model: plannedFor });
}

/** Where the Train page keeps which preset its values are set against. */
export const presetKey = 'studio.train.preset';

/** With these the starter model learns Python functions soon: the loss falls, and every chart has something to show. */
export const starterValues = {
  method: 'idlora',
  rank: 32,
  alpha: 64,
  dropout: 0,
  clusters: 4,
  boost: 2,
  length: 'steps',
  maxSteps: 120,
  learningRate: 4e-3,
  batch: 16,
  context: 64,
  evalEvery: 40,
} as const satisfies Partial<TrainForm>;
