import { StudioError } from '../../contract/errors.ts';
import {
  otherBaseRemedy,
  type AdapterFolder,
  type AdapterTensor,
} from '../../formats/adapter/peftAdapter.ts';
import { indicesSuffix, modulesWithRows, rowsSuffix, storesRows } from '../../formats/adapter/adapterRows.ts';
import { asFloat32 } from '../../formats/files/floats.ts';
import type { WeightFolder } from '../../formats/model/weightFolder.ts';

/** Rows written where the base was loaded in bf16 differ from the base's by its rounding. */
const roundingTolerance = 2 ** -8;

/** Rows of a weight in f32, one behind the other. */
export function baseRows(weights: WeightFolder, name: string, rows: Int32Array): Float32Array {
  const { dtype, shape, byteLength } = weights.info(name)!;
  const [dOut = 1, dIn = 1] = shape;
  const rowBytes = byteLength / dOut;
  const found = new Float32Array(rows.length * dIn);
  rows.forEach((row, i) => {
    const bytes = weights.readRange(name, row * rowBytes, (row + 1) * rowBytes);
    found.set(asFloat32(bytes, dtype), i * dIn);
  });
  return found;
}

/**
 * Compares the rows that an adapter stores with those that its indices name in the base.
 * @returns whether it stores those of every module
 * @throws StudioError adapter_invalid with the module where they differ: others would compute something else
 */
export function checkStoredRows(adapter: AdapterFolder, weights: WeightFolder): boolean {
  const stored = modulesWithRows(adapter.keys).filter((path) => adapter.keys.has(`${path}${rowsSuffix}`));
  for (const path of stored) {
    const key = adapter.keys.get(`${path}${rowsSuffix}`)!;
    const { dtype, shape } = adapter.tensors.tensors.get(key)!;
    const rows = readIndices(adapter, path);
    const [dOut = 0, dIn = 0] = weights.info(`${path}.weight`)?.shape ?? [];
    const beyond = rows.find((row) => row < 0 || row >= dOut);
    if (beyond !== undefined)
      throw new StudioError(
        'adapter_invalid',
        `The adapter names row ${beyond} of ${path}, which has ${dOut} in this base model.`,
        otherBaseRemedy(adapter),
      );
    const values =
      shape.join() === [rows.length, dIn].join() ? asFloat32(adapter.tensors.read(key), dtype) : null;
    const own = baseRows(weights, `${path}.weight`, rows);
    const isEqual = values?.every(
      (value, i) => Math.abs(value - own[i]!) <= roundingTolerance * Math.abs(own[i]!),
    );
    if (!isEqual)
      throw new StudioError(
        'adapter_invalid',
        `The adapter stores rows of ${path} (idlora_A) that are not those of this base model.`,
        otherBaseRemedy(adapter),
      );
  }
  return storesRows(adapter.keys);
}

/** A tensor that is read when it is written. */
export type ReadTensor = AdapterTensor & { data(): Uint8Array };

/** The tensors of the rows that an adapter's indices name, as our package reads them. */
export function rowTensors(adapter: AdapterFolder, weights: WeightFolder): ReadTensor[] {
  return modulesWithRows(adapter.keys).map((path) => {
    const rows = readIndices(adapter, path);
    const dIn = weights.info(`${path}.weight`)!.shape[1]!;
    return {
      name: `${path}${rowsSuffix}`,
      dtype: 'F32' as const,
      shape: [rows.length, dIn],
      data: () => new Uint8Array(baseRows(weights, `${path}.weight`, rows).buffer),
    };
  });
}

/** Whether a tensor of an adapter is of such rows. */
export function isRowTensor(name: string): boolean {
  return name.endsWith(rowsSuffix);
}

function readIndices({ keys, tensors }: AdapterFolder, path: string): Int32Array {
  const bytes = tensors.read(keys.get(`${path}${indicesSuffix}`)!);
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}
