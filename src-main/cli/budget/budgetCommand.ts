import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { presets, type ModelShape } from '../../shape/modelShape.ts';
import { readShape, sizeNames } from '../../formats/families/readShape.ts';
import { budgetReport } from '../../budget/report.ts';
import { StudioError } from '../../contract/errors.ts';
import { methods, methodSchema, type Method } from '../../contract/training.ts';
import { optionDefaults } from '../../options/trainingOptions.ts';
import { createCore } from '../../core/createCore.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import { readJsonObject } from '../../formats/files/jsonFile.ts';
import { list, parseOptions, requiredText, text, usageError } from '../arguments.ts';
import { budgetSize, countedTrainable, solveOptions } from './budgetSize.ts';
import { describeBudget } from './budgetTable.ts';
import { homeOf } from '../commandContext.ts';
import { createOutput } from '../output.ts';
import { adapterFrom, adapterOptions, givenOptions, noteIdleOptions } from '../trainingArguments.ts';

/**
 * budget --model PRESET-or-FOLDER --method lora,idlora --rank R ...; budget --model M --solve 4000000|0.5%|8MB|run:NAME
 * [--solve-over rank=4..64,clusters,boost,heads,experts,targets --solve-percent base|paper --solve-dtype f32|bf16]
 */
export async function budgetCommand(args: readonly string[]): Promise<void> {
  const values = parseOptions(args, { ...adapterOptions, ...solveOptions, model: { type: 'string' } });
  const model = requiredText(values, 'model');
  const wanted = (list(values, 'method') ?? [...methods]).map((name): Method => {
    const parsed = methodSchema.safeParse(name);
    if (!parsed.success) throw usageError(`There is no method "${name}"; there are ${methods.join(', ')}.`);
    return parsed.data;
  });
  const given = givenOptions({ ...values, method: undefined });
  const { method: _, rank, ...options } = adapterFrom(given);
  const place = { home: homeOf(values), project: text(values, 'project') ?? 'default' };
  const size = budgetSize(values, rank, (run) => trainableOf(run, place));
  const { shape, notes } = shapeOf(model, place);
  const report = budgetReport(model, shape, wanted, options, size);
  const output = createOutput(values['json'] === true);
  noteIdleOptions(
    output,
    given,
    wanted.map((method) => ({ ...optionDefaults, ...options, method })),
  );
  output.result({ ...report, ...(notes.length > 0 && { notes }) }, () =>
    [describeBudget(report), ...notes].join('\n'),
  );
}

interface Place {
  home: string;
  project: string;
}

/** A preset, a folder with config.json, or a model of the library. */
function shapeOf(model: string, { home, project }: Place): { shape: ModelShape; notes: string[] } {
  const preset = Object.hasOwn(presets, model) ? presets[model] : undefined;
  if (preset) return { shape: preset, notes: [] };
  if (existsSync(join(model, 'config.json'))) return folderShape(model);
  if (existsSync(join(home, 'studio.db'))) {
    const core = createCore({ home, project, mode: 'read' });
    try {
      const known = core.models.list().find(({ name, id }) => name === model || id === model);
      if (known) return { shape: readDecoderConfig(known.folder), notes: [] };
    } finally {
      core.close();
    }
  }
  throw usageError(
    `"${model}" is no preset, no model of the library and no folder with config.json.`,
    `Presets: ${Object.keys(presets).join(', ')}.`,
  );
}

/**
 * As the engine reads it; an architecture that it lacks is read as far as its keys are known.
 * @throws StudioError model_unsupported with the keys that are missing
 */
function folderShape(folder: string): { shape: ModelShape; notes: string[] } {
  try {
    return { shape: readDecoderConfig(folder), notes: [] };
  } catch (error) {
    if (!(error instanceof StudioError)) throw error;
    const { shape, missing, notes, problems } = readShape(
      readJsonObject(join(folder, 'config.json'), 10 * 1024 * 1024, 'model_invalid'),
    );
    if (shape && error.code === 'model_unsupported')
      return { shape, notes: [`${error.message} It cannot be trained here.`, ...notes] };
    if (error.code !== 'model_unsupported') throw error;
    throw new StudioError(
      'model_unsupported',
      [
        error.message,
        ...(missing.length > 0
          ? [`config.json lacks ${missing.map((key) => sizeNames[key]).join(', ')}.`]
          : []),
        ...problems,
      ].join(' '),
      'Add the keys to a copy of config.json, or take a preset of the same sizes.',
    );
  }
}

/** Trainable parameters of a run. @throws StudioError not_found */
function trainableOf(run: string, { home, project }: Place): number {
  const core = createCore({ home, project, mode: 'read' });
  try {
    return countedTrainable(core.runs.get(run));
  } finally {
    core.close();
  }
}
