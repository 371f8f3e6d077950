import { StudioError } from '../../contract/errors.ts';
import { adapterKey, type AdapterFolder, type AdapterTensor } from '../../formats/adapter/peftAdapter.ts';
import { methodOf } from '../../methods/registry.ts';
import type { Variable } from '../graph/variables.ts';
import { asFloat32 } from '../../formats/files/floats.ts';
import { hostBytes, type AdapterParameter } from '../model/modelGraph.ts';

/**
 * The value of a parameter in an adapter folder, as f32 or i32 bytes.
 * @throws StudioError adapter_invalid: the tensor is missing, of another shape, or pivots are no distinct rows of W
 */
export function storedValue(parameter: AdapterParameter, folder: AdapterFolder): Uint8Array {
  const { spec, place } = parameter;
  const key = adapterKey(parameter.variable.name);
  const fail = (what: string) =>
    new StudioError(
      'adapter_invalid',
      `The adapter's tensor ${key} ${what}.`,
      'The adapter belongs to another model, or its file is incomplete: export it again.',
    );
  const info = folder.tensors.tensors.get(key);
  if (!info) throw fail('is missing');
  if (info.shape.join() !== spec.shape.join())
    throw fail(`is [${info.shape.join()}]; this model and configuration need [${spec.shape.join()}]`);
  const bytes = folder.tensors.read(key);
  if (spec.dtype === 'f32') {
    if (!['F32', 'BF16', 'F16'].includes(info.dtype)) throw fail(`is stored as ${info.dtype}`);
    return hostBytes(asFloat32(bytes, info.dtype));
  }
  if (info.dtype !== 'I32') throw fail(`is stored as ${info.dtype}; I32 is needed`);
  const rows = new Int32Array(bytes.buffer);
  const { dOut } = place!.shape;
  if (rows.some((row) => row < 0 || row >= dOut)) throw fail(`names rows outside 0..${dOut - 1}`);
  if (new Set(rows).size !== rows.length) throw fail('names a row twice');
  return bytes;
}

/** @throws StudioError adapter_invalid where the folder has tensors that no parameter of the model takes */
export function checkNoForeignTensors(parameters: readonly AdapterParameter[], folder: AdapterFolder): void {
  const known = new Set(parameters.map(({ variable }) => adapterKey(variable.name)));
  const unread = methodOf(folder.config)?.unreadSuffixes ?? [];
  const foreign = [...folder.tensors.tensors.keys()].filter(
    (key) => !known.has(key) && !unread.some((suffix) => key.endsWith(`.${suffix}`)),
  );
  if (foreign.length > 0)
    throw new StudioError(
      'adapter_invalid',
      `The adapter has ${foreign.length} tensors that fit nowhere in this model, for example ${foreign[0]}.`,
      'Choose the base model that the adapter was trained on.',
    );
}

/** Parameters as they go into an adapter folder, each read when its turn comes. */
export function adapterTensors(
  parameters: readonly AdapterParameter[],
  read: (variable: Variable) => Uint8Array,
): AdapterTensor[] {
  return parameters.map(({ spec, variable }) => ({
    name: variable.name,
    dtype: spec.dtype === 'f32' ? 'F32' : 'I32',
    shape: spec.shape,
    data: () => read(variable),
  }));
}
