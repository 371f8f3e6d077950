import { fillStored } from '../state/stored.svelte.ts';
import { restoreForm, type TrainForm } from './trainForm.ts';

/** Where the Train page keeps its form. */
const key = 'studio.train';

/** Puts values into the Train page's form before it is opened; other values stay. */
export function fillTrainForm(values: Partial<TrainForm>): void {
  fillStored<TrainForm>(key, restoreForm, values);
}
