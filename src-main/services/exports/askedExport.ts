import type { Model, Run } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import {
  weightTypes,
  type ExportFormat,
  type ExportOptions,
  type GgufType,
  type WeightType,
} from '../../contract/results.ts';
import { exitsOf, idleExportOption } from '../../options/exits.ts';
import { folderSize } from './exportFolder.ts';

/** About how large the files will be. */
export function exportBytes(
  { run, model, format, options }: { run: Run; model: Model; format: ExportFormat; options: ExportOptions },
  trained: string,
): number {
  const { method } = run.config.adapter;
  // No type of GGUF takes more than the four bytes of F32.
  if (format === 'gguf') return 4 * model.parameters;
  if (format !== 'merged') return folderSize(trained);
  const bytes = options.dtype === undefined ? null : options.dtype === 'F32' ? 4 : 2;
  if (bytes !== null) return bytes * model.parameters;
  if (method === 'full') return folderSize(trained);
  // Written as what the packed weights stand for.
  return model.quantization === null ? model.sizeBytes : model.parameters * (model.dtype === 'F32' ? 4 : 2);
}

/** The format asked for, or the one that fits the run's method. @throws StudioError config_invalid */
export function formatOf(
  run: Run,
  asked: ExportFormat | undefined,
  family: string | null = null,
): ExportFormat {
  const { method } = run.config.adapter;
  const exits = exitsOf(method, family);
  const possible = exits.find(({ problem }) => problem === null)!.format;
  const problem = exits.find(({ format }) => format === asked)?.problem ?? null;
  if (problem !== null)
    throw new StudioError(
      'config_invalid',
      `The run "${run.name}" (${method}) cannot be exported as ${asked}. ${problem}`,
      `Export it with the format ${possible}.`,
    );
  return asked ?? possible;
}

export const isWeightType = (type: GgufType | undefined): type is WeightType =>
  weightTypes.some((known) => known === type);

/** Refuses options that mean nothing to the format. @throws StudioError config_invalid */
export function refuseIdleOptions({ name, config }: Run, format: ExportFormat, options: ExportOptions): void {
  const { method } = config.adapter;
  const idle = idleExportOption(method, format, options);
  if (idle)
    throw new StudioError(
      'config_invalid',
      `The option ${idle.option} means nothing to the export of "${name}" (${method}) as ${format}: only ${idle.belongsTo}.`,
      'Leave it out, or choose another format.',
    );
  if (options.dtype !== undefined && !isWeightType(options.dtype) && format !== 'gguf')
    throw new StudioError(
      'config_invalid',
      `${options.dtype} is a type of GGUF: Hugging Face folders have none like it.`,
      `Choose one of ${weightTypes.join(', ')}, or the format gguf.`,
    );
}
