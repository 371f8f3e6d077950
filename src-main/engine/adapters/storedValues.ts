import { StudioError } from '../../contract/errors.ts';
import {
  adapterKey,
  otherBaseRemedy,
  wholeRemedy,
  type AdapterFolder,
  type AdapterTensor,
} from '../../formats/adapter/peftAdapter.ts';
import type { SafetensorsFile } from '../../formats/files/safetensors.ts';
import { methodOf } from '../../methods/registry.ts';
import type { Variable } from '../graph/variables.ts';
import { asFloat32 } from '../../formats/files/floats.ts';
import { hostBytes } from '../graph/session.ts';
import type { WeightSource } from '../model/weightSource.ts';
import type { AdapterParameter } from '../model/modelGraph.ts';

/**
 * The value of a parameter in an adapter folder, as f32 or i32 bytes.
 * @throws StudioError adapter_invalid: the tensor is missing, of another shape, or pivots are no distinct rows of W
 */
export function storedValue(parameter: AdapterParameter, folder: AdapterFolder): Uint8Array {
  const { spec, place } = parameter;
  const fail = (what: string, remedy: string) =>
    new StudioError('adapter_invalid', `The adapter's tensor ${key} ${what}.`, remedy);
  const otherBase = otherBaseRemedy(folder);
  const key = folder.keys.get(parameter.name) ?? adapterKey(parameter.name);
  const info = folder.tensors.tensors.get(key);
  if (!info) throw fail('is missing', wholeRemedy);
  if (info.shape.join() !== spec.shape.join())
    throw fail(
      `is [${info.shape.join()}]; this model and configuration need [${spec.shape.join()}]`,
      otherBase,
    );
  const bytes = folder.tensors.read(key);
  if (spec.dtype === 'f32') {
    if (!['F32', 'BF16', 'F16'].includes(info.dtype))
      throw fail(`is stored as ${info.dtype}`, 'Save it as F32, BF16 or F16.');
    return hostBytes(asFloat32(bytes, info.dtype));
  }
  if (info.dtype !== 'I32') throw fail(`is stored as ${info.dtype}; I32 is needed`, 'Save it as I32.');
  const rows = new Int32Array(bytes.buffer);
  const { dOut } = place!.shape;
  if (rows.some((row) => row < 0 || row >= dOut)) throw fail(`names rows outside 0..${dOut - 1}`, otherBase);
  if (new Set(rows).size !== rows.length) throw fail('names a row twice', wholeRemedy);
  return bytes;
}

/**
 * Checks that every tensor of an adapter has its place: a parameter takes it, or it is a weight of the base, saved
 * beside the adapter, that training left as it was.
 * @throws StudioError adapter_invalid for one that fits nowhere, model_unsupported for a changed weight of the base
 */
export function checkTensors(
  parameters: readonly AdapterParameter[],
  folder: AdapterFolder,
  base: WeightSource,
): void {
  const known = new Set(parameters.map(({ name }) => name));
  const unread = methodOf(folder.config)?.unreadSuffixes ?? [];
  const others = [...folder.keys].filter(
    ([name]) => !known.has(name) && !unread.some((suffix) => name.endsWith(`.${suffix}`)),
  );
  // A head that shares the embedding's weight has no tensor of its own.
  const inBase = (name: string) =>
    name === 'lm_head.weight' && !base.info(name) ? 'model.embed_tokens.weight' : name;
  const foreign = others.filter(([name]) => !base.info(inBase(name)));
  if (foreign.length > 0)
    throw new StudioError(
      'adapter_invalid',
      `The adapter has ${foreign.length} tensors that fit nowhere in this model, for example ${foreign[0]![1]}.`,
      foreign.some(([name]) => !isOfModule(name, base))
        ? otherBaseRemedy(folder)
        : 'The studio does not read tensors of that kind: merge the adapter with PEFT and import the merged model instead.',
    );
  for (const [name, key] of others)
    if (!isSameTensor(folder.tensors, key, base, inBase(name)))
      throw new StudioError(
        'model_unsupported',
        `The adapter replaces ${name} of the base model by another tensor, which the studio does not read.`,
        'If the base model is the one that the adapter was trained on, merge the adapter with PEFT and import the merged model instead.',
      );
}

/** Whether the base has the module that a tensor of an adapter is named after: it then lies not with the base. */
function isOfModule(name: string, base: WeightSource): boolean {
  const parts = name.split('.');
  return parts.some((_, count) => base.info(`${parts.slice(0, count).join('.')}.weight`) !== null);
}

/** Whether a tensor saved beside an adapter has the numbers that the base model has. */
function isSameTensor(file: SafetensorsFile, key: string, base: WeightSource, name: string): boolean {
  const [mine, theirs] = [file.tensors.get(key)!, base.info(name)!];
  if (mine.shape.join() !== theirs.shape.join()) return false;
  const values = asFloat32(file.read(key), mine.dtype);
  return asFloat32(base.read(name), theirs.dtype).every((value, i) => value === values[i]);
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
