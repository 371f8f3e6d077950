import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { presets, type ModelShape } from '../budget/modelShape.ts';
import { budgetReport, type BudgetReport } from '../budget/report.ts';
import { methods, methodSchema, type Method } from '../contract/training.ts';
import { readDecoderConfig } from '../formats/huggingFaceConfig.ts';
import { list, number, parseCommand, requiredText, text, usageError } from './arguments.ts';
import { adapterFrom, adapterOptions, givenOptions } from './trainingArguments.ts';
import { homeOf } from './commandContext.ts';
import { createCore } from '../core/createCore.ts';
import { createOutput, formatBytes, formatCount, formatTable } from './output.ts';

/** budget --model PRESET-or-FOLDER --method lora,idlora --rank R ...; budget --model M --solve 4000000 */
export async function budgetCommand(args: readonly string[]): Promise<void> {
  const { values } = parseCommand(args, {
    ...adapterOptions,
    model: { type: 'string' },
    solve: { type: 'string' },
  });
  const model = requiredText(values, 'model');
  const wanted = (list(values, 'method') ?? [...methods]).map((name): Method => {
    const parsed = methodSchema.safeParse(name);
    if (!parsed.success) throw usageError(`There is no method "${name}"; there are ${methods.join(', ')}.`);
    return parsed.data;
  });
  const { method: _, rank, ...options } = adapterFrom({ ...givenOptions(values), method: 'lora' });
  const solve = number(values, 'solve');
  if (solve !== undefined && (!Number.isSafeInteger(solve) || solve < 1))
    throw usageError(`--solve ${text(values, 'solve')} must be a whole number of parameters, at least 1.`);
  const report = budgetReport(
    model,
    shapeOf(model, homeOf(values), text(values, 'project') ?? 'default'),
    wanted,
    options,
    solve === undefined ? { rank } : { maxTrainable: solve },
  );
  createOutput(values['json'] === true).result(report, () => describe(report));
}

/** A preset, a folder with config.json, or a model of the library. */
function shapeOf(model: string, home: string, project: string): ModelShape {
  const preset = Object.hasOwn(presets, model) ? presets[model] : undefined;
  if (preset) return preset;
  if (existsSync(join(model, 'config.json'))) return readDecoderConfig(model);
  if (existsSync(join(home, 'studio.db'))) {
    const core = createCore({ home, project, mode: 'read' });
    try {
      const known = core.models.list().find(({ name, id }) => name === model || id === model);
      if (known) return readDecoderConfig(known.folder);
    } finally {
      core.close();
    }
  }
  throw usageError(
    `"${model}" is no preset, no model of the library and no folder with config.json.`,
    `Presets: ${Object.keys(presets).join(', ')}.`,
  );
}

function describe(report: BudgetReport): string {
  const solved = report.methods.some(({ remainder }) => remainder !== undefined);
  const table = formatTable(
    [
      'method',
      'rank',
      'trainable',
      '% as the paper counts',
      '% of the base',
      'frozen extra',
      'adapter (f32)',
      ...(solved ? ['unused'] : []),
    ],
    report.methods.map((line) => [
      line.method,
      line.method === 'full' ? '–' : String(line.rank),
      formatCount(line.trainable),
      line.percentPaper.toFixed(3),
      line.percentBase.toFixed(3),
      formatCount(line.frozenExtra),
      formatBytes(line.adapterBytes),
      ...(solved ? [formatCount(line.remainder ?? 0)] : []),
    ]),
  );
  return [
    `${report.model}: ${formatCount(report.methods[0]?.base ?? 0)} parameters`,
    table,
    ...report.impossible.map(({ method, reason }) => `${method}: ${reason}`),
    'As the paper counts: trainable / (base + frozen extra + trainable). Of the base: trainable / base.',
  ].join('\n');
}
