import type { PeftCheck } from '../../contract/results.ts';
import { writeModelFolder } from '../../formats/model/modelFolder.ts';
import { adapterKey, openAdapterFolder, writeAdapterFolder } from '../../formats/adapter/peftAdapter.ts';
import { openPeftUpdate } from '../../formats/adapter/peftUpdate.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import { asFloat32, asStored } from '../../formats/files/floats.ts';
import type { SafetensorsFile } from '../../formats/files/safetensors.ts';
import { findContradictions } from '../../formats/model/contradictions.ts';
import { WeightFolder } from '../../formats/model/weightFolder.ts';
import { updateScale } from '../../methods/method.ts';
import { loadsInPeft } from '../../options/exits.ts';
import { adapterSites, modulePath } from '../../shape/adapterSites.ts';
import { modelTargets } from '../../shape/targets.ts';
import { trainedFolder } from '../../formats/checkpoint/checkpointFolder.ts';
import { exportMerged } from './mergedExport.ts';
import type { EngineEvent, ExportRequest, ExportResult } from '../protocol.ts';

type Emit = (event: EngineEvent) => void;

/** Writes what a checkpoint holds in the form that is asked for. */
export function exportFolder(request: ExportRequest, emit: Emit = () => undefined): ExportResult {
  if (request.format === 'peft') return exportAdapter(request, emit);
  return request.adapter.method === 'full' ? exportModel(request, emit) : exportMerged(request, emit);
}

/**
 * A checkpoint's adapter as a folder of its own, read and written anew so that what leaves is what our reader accepts.
 */
export function exportAdapter(request: ExportRequest, emit: Emit = () => undefined): ExportResult {
  const { method } = request.adapter;
  const adapter = openAdapterFolder(trainedFolder(request.checkpoint, method));
  const weights = new WeightFolder(request.modelFolder);
  try {
    const tensors = [...adapter.keys].map(([name, key]) => {
      const { dtype, shape } = adapter.tensors.tensors.get(key)!;
      return { name, dtype, shape, data: () => adapter.tensors.read(key) };
    });
    const base = {
      name: request.baseName,
      // Only methods that refer to rows of the base write it, and their checkpoints have it.
      sha256: adapter.baseSha256 ?? '',
      loadIn8bit: request.loadIn8bit,
    };
    // PEFT knows the modules by the names that the model has for them.
    const targets = modelTargets(readDecoderConfig(request.modelFolder), adapter.config.targets);
    const told = tellingOf(tensors, emit);
    const files = writeAdapterFolder(request.outFolder, { ...adapter.config, targets }, base, told);
    const peft = loadsInPeft(method) ? checkAsPeft(request, weights, adapter.tensors) : null;
    return { files, dtype: 'F32', peft, contradictions: findContradictions(request.modelFolder) };
  } finally {
    weights.close();
    adapter.tensors.close();
  }
}

/** So many modules, from first to last, and rows of each are compared. */
const comparedModules = 4;
const comparedRows = 8;

/** Largest difference as a share of the greatest number of the updates: both come in f64 from equal numbers. */
const updateTolerance = 1e-9;

/**
 * Compares the update of the run's modules, from its configuration and its checkpoint, with what PEFT makes of the
 * exported files.
 */
function checkAsPeft(
  { modelFolder, adapter, outFolder }: ExportRequest,
  weights: WeightFolder,
  trained: SafetensorsFile,
): PeftCheck {
  const sites = adapterSites(readDecoderConfig(modelFolder), adapter);
  const exported = openPeftUpdate(outFolder);
  try {
    const expected = new Set(sites.map(({ site }) => modulePath(site)));
    let isEqual = exported.unread.length === 0 && exported.paths.length === expected.size;
    let [rows, maxDifference, greatest] = [0, 0, 0];
    const step = Math.max(1, Math.floor(sites.length / comparedModules));
    for (const { site, adapter: own } of sites.filter((_, i) => i % step === 0).slice(0, comparedModules)) {
      const path = modulePath(site);
      if (!exported.paths.includes(path)) {
        isEqual = false;
        continue;
      }
      const read = (suffix: string) => asFloat32(trained.read(adapterKey(`${path}.${suffix}`)), 'F32');
      const [a, b] = [read('lora_A.weight'), read('lora_B.weight')];
      const dIn = a.length / own.rank;
      const dOut = b.length / own.rank;
      const chosen = [
        ...new Set(Array.from({ length: comparedRows }, (_, i) => Math.floor((i * dOut) / comparedRows))),
      ];
      const isDora = own.method === 'dora';
      const name = `${path}.weight`;
      const base = isDora ? asFloat32(weights.read(name), weights.info(name)!.dtype) : new Float32Array(0);
      const magnitude = isDora ? read('lora_magnitude_vector') : null;
      const weight = (row: number) => base.subarray(row * dIn, (row + 1) * dIn);
      const theirs = exported.rows(path, chosen, weight);
      for (const [i, row] of chosen.entries()) {
        const update = Array.from({ length: dIn }, (_, column) => {
          let sum = 0;
          for (let k = 0; k < own.rank; k++) sum += b[row * own.rank + k]! * a[k * dIn + column]!;
          return updateScale(own) * sum;
        });
        const mine = magnitude ? scaledRow(update, weight(row), magnitude[row]!) : update;
        for (const [column, number] of mine.entries()) {
          const difference = Math.abs(number - theirs[i]![column]!);
          // Not Math.max: a NaN must not look like equality.
          if (!(difference <= maxDifference)) maxDifference = difference;
          greatest = Math.max(greatest, Math.abs(number));
        }
        rows++;
      }
    }
    const share = maxDifference === 0 ? 0 : maxDifference / greatest;
    return {
      isEqual: isEqual && share <= updateTolerance,
      modules: exported.paths.length,
      expectedModules: expected.size,
      rows,
      maxDifference: Number.isFinite(share) ? share : Number.MAX_VALUE,
    };
  } finally {
    exported.close();
  }
}

/** DoRA's change of a row: (m / n - 1) W + (m / n) D, n = ||W + D||. */
function scaledRow(update: readonly number[], weight: ArrayLike<number>, magnitude: number): number[] {
  const squares = update.reduce((sum, number, i) => sum + (weight[i]! + number) ** 2, 0);
  const ratio = magnitude / Math.sqrt(squares);
  return update.map((number, i) => (ratio - 1) * weight[i]! + ratio * number);
}

/**
 * The model of a full fine-tuning checkpoint as a folder of its own. Checkpoints hold f32 masters; here every tensor
 * gets the type in which the base stores it, rounded to nearest, ties to even, so that the result can stand in for the
 * base.
 */
export function exportModel(request: ExportRequest, emit: Emit = () => undefined): ExportResult {
  const trained = new WeightFolder(trainedFolder(request.checkpoint, 'full'));
  const base = new WeightFolder(request.modelFolder);
  try {
    const tensors = trained.names.map((name) => {
      const { dtype, shape } = base.info(name)!;
      return { name, dtype, shape, data: () => asStored(asFloat32(trained.read(name), 'F32'), dtype) };
    });
    const card = modelCard(request.baseName);
    const model = { base: request.modelFolder, tensors: tellingOf(tensors, emit), dtype: null, card };
    const narrowest = ['BF16', 'F16'].find((dtype) => tensors.some((tensor) => tensor.dtype === dtype));
    const files = writeModelFolder(request.outFolder, model);
    const contradictions = findContradictions(request.outFolder);
    return { files, dtype: narrowest ?? 'F32', peft: null, contradictions };
  } finally {
    trained.close();
    base.close();
  }
}

/** The tensors, which tell of their number as they are read to be written. */
function tellingOf<T extends { data(): Uint8Array }>(tensors: readonly T[], emit: Emit): T[] {
  let done = 0;
  return tensors.map((tensor) => ({
    ...tensor,
    data() {
      const bytes = tensor.data();
      emit({ type: 'progress', label: 'Writing the files', done: ++done, total: tensors.length });
      return bytes;
    },
  }));
}

function modelCard(baseName: string): string {
  return [
    '---',
    'library_name: transformers',
    `base_model: ${JSON.stringify(baseName)}`,
    '---',
    '',
    `# ${baseName}, fine-tuned`,
    '',
    `Every parameter of ${baseName} was trained. The terms under which the base may be used hold for this model, too.`,
    '',
    '    from transformers import AutoModelForCausalLM',
    '    model = AutoModelForCausalLM.from_pretrained("this folder")',
    '',
  ].join('\n');
}
