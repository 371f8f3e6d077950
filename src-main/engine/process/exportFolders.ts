import { basename } from 'node:path';
import { writeModelFolder } from '../../formats/model/modelFolder.ts';
import { openAdapterFolder, writeAdapterFolder } from '../../formats/adapter/peftAdapter.ts';
import { WeightFolder } from '../../formats/model/weightFolder.ts';
import { asFloat32, asStored } from '../../formats/files/floats.ts';
import { trainedFolder } from '../../formats/checkpoint/checkpointFolder.ts';
import type { ExportRequest, ExportResult } from '../protocol.ts';

/**
 * A checkpoint's adapter as a folder of its own, read and written anew so that what leaves is what our reader accepts.
 */
export function exportAdapter(request: ExportRequest): ExportResult {
  const adapter = openAdapterFolder(trainedFolder(request.checkpoint, request.method));
  const weights = new WeightFolder(request.modelFolder);
  try {
    const tensors = [...adapter.keys].map(([name, key]) => {
      const { dtype, shape } = adapter.tensors.tensors.get(key)!;
      return { name, dtype, shape, data: () => adapter.tensors.read(key) };
    });
    const { modelFolder: name, loadIn8bit } = request;
    const base = { name, sha256: adapter.baseSha256 ?? weights.contentHash(), loadIn8bit };
    return { files: writeAdapterFolder(request.outFolder, adapter.config, base, tensors), dtype: 'F32' };
  } finally {
    weights.close();
    adapter.tensors.close();
  }
}

/**
 * The model of a full fine-tuning checkpoint as a folder of its own. Checkpoints hold f32 masters; here every tensor
 * gets the type in which the base stores it, rounded to nearest, ties to even, so that the result can stand in for the
 * base.
 */
export function exportModel(request: ExportRequest): ExportResult {
  const trained = new WeightFolder(trainedFolder(request.checkpoint, request.method));
  const base = new WeightFolder(request.modelFolder);
  try {
    const tensors = trained.names.map((name) => {
      const { dtype, shape } = base.info(name)!;
      return { name, dtype, shape, data: () => asStored(asFloat32(trained.read(name), 'F32'), dtype) };
    });
    const card = modelCard(basename(request.modelFolder));
    const model = { base: request.modelFolder, tensors, dtype: null, card };
    const narrowest = ['BF16', 'F16'].find((dtype) => tensors.some((tensor) => tensor.dtype === dtype));
    return { files: writeModelFolder(request.outFolder, model), dtype: narrowest ?? 'F32' };
  } finally {
    trained.close();
    base.close();
  }
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
