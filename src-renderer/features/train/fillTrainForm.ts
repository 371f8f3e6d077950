import { restoreForm, type TrainForm } from './trainForm.ts';

/** Where the Train page keeps its form. */
const key = 'studio.train';

/** Puts values into the Train page's form before it is opened; what is not given stays as it was. */
export function fillTrainForm(values: Partial<TrainForm>): void {
  let saved: Partial<Record<string, unknown>> = {};
  try {
    saved = JSON.parse(localStorage.getItem(key) ?? '{}') as Partial<Record<string, unknown>>;
  } catch {
    // What cannot be read is filled anew.
  }
  localStorage.setItem(key, JSON.stringify({ ...restoreForm(saved), ...values }));
}
