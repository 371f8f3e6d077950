import { optionsOver, valuesIn, type ReadDocument } from '../../../../src-main/options/trainingDocument.ts';
import type { OptionName } from '../../../../src-main/options/trainingOptions.ts';
import type { Library } from '../../../options/formCheck.ts';
import { formValue, type TrainForm } from '../../../options/trainForm.ts';

/** What came of putting a document into the form. */
export interface Placement {
  /** Options that were taken over. */
  taken: number;
  ignored: readonly string[];
  /** Models and datasets that the document names and the library lacks. */
  unknown: readonly string[];
}

/** Puts what a document says into the form; what it does not name stays. */
export function placeDocument(form: TrainForm, read: ReadDocument, library: Library): Placement {
  const { maxSteps, ...options } = optionsOver({ baseWeights: form.baseWeights }, read);
  for (const [name, value] of Object.entries(options))
    Object.assign(form, { [name]: formValue(name as OptionName, value) });
  if (maxSteps === null) form.length = 'epochs';
  else if (typeof maxSteps === 'number') Object.assign(form, { length: 'steps', maxSteps });

  const { run, model, dataset } = read.names;
  const unknown: string[] = [];
  const find = (kind: string, name: string | undefined, known: readonly { id: string; name: string }[]) => {
    if (name === undefined) return null;
    // Others write a path or a hub's name, of which the last part is the folder.
    const last = name.split('/').at(-1);
    const found = known.find((entry) => entry.name === name || entry.id === name || entry.name === last);
    if (!found) unknown.push(`${kind} “${name}”`);
    return found?.id ?? null;
  };
  form.modelId = find('model', model, library.models) ?? form.modelId;
  form.datasetId = find('dataset', dataset, [...library.datasets, ...library.mixes]) ?? form.datasetId;
  if (run !== undefined) form.name = run.slice(0, 100);
  return { taken: valuesIn(read), ignored: read.ignored, unknown };
}
