import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Model, Run } from '../../contract/entities.ts';
import { rowStrategies, type AdapterConfig, type TrainConfig } from '../../contract/training.ts';
import { StudioError } from '../../contract/errors.ts';
import { checkpointStep, listCheckpoints, trainedFolder } from '../../formats/checkpoint/checkpointFolder.ts';
import { linkFolder, writeFileAtomic } from '../../formats/files/atomicFile.ts';
import { methodOf } from '../../methods/registry.ts';
import { isAdapterOption, optionNames, pathOf } from '../../options/trainingOptions.ts';
import { checkBase, chosenCheckpoint } from './checkpoints.ts';
import type { ServiceContext } from '../context.ts';

/** Which adapter a new run is to begin with: that of a run, of a kept checkpoint or of the one that stands for it. */
export interface StartRequest {
  run: string;
  step?: number | undefined;
}

/**
 * The adapter of another run from which a new one trains on: with rows, rates and lengths of its own, a fresh
 * optimizer, and the same modules, ranks and scales.
 * @throws StudioError config_invalid: another method, size or model; no_checkpoint; model_changed
 */
export function startOf(
  context: ServiceContext,
  from: Run,
  { step, model, config }: { step: number | undefined; model: Model; config: TrainConfig },
): NonNullable<Run['start']> {
  if (from.config.adapter.method === 'full')
    throw new StudioError(
      'config_invalid',
      `The run "${from.name}" trained every parameter: there is no adapter to train on.`,
      'Export it as a whole model, add that to the models, and train on it.',
    );
  if (from.modelId !== model.id)
    throw new StudioError(
      'config_invalid',
      `The adapter of the run "${from.name}" belongs to "${from.modelName}", not to "${model.name}".`,
      `Choose the model "${from.modelName}".`,
    );
  refuseOtherAdapter(from, config);
  const folder = checkpointOf(context, from, step);
  checkBase(from, model, folder);
  return { runId: from.id, runName: from.name, step: checkpointStep(folder) };
}

/** The options of an adapter that may change when it is trained on: they act on steps alone. */
const freeOptions: readonly string[] = ['dropout'];
const isOfRows = ({ pivots }: AdapterConfig) => rowStrategies.some((strategy) => strategy === pivots);

function refuseOtherAdapter(from: Run, { adapter }: TrainConfig): void {
  const method = methodOf(from.config.adapter)!;
  const [mine, theirs] = [adapter, from.config.adapter].map((one) => ({
    ...method.asStored(one),
    method: one.method,
  }));
  const changed = optionNames.filter(
    (name) =>
      isAdapterOption(name) &&
      !freeOptions.includes(name) &&
      // Rows that are chosen stay; other bases are numbers of the adapter.
      !(name === 'pivots' && isOfRows(adapter) && isOfRows(from.config.adapter)) &&
      JSON.stringify(mine![name]) !== JSON.stringify(theirs![name]),
  );
  if (changed.length === 0) return;
  const texts = changed.map((name) => {
    const [before, now] = [theirs, mine].map((one) => JSON.stringify(one![name as keyof typeof one]));
    return `${name} (${before} to ${now})`;
  });
  throw new StudioError(
    'config_invalid',
    `A run that trains the adapter of "${from.name}" on cannot change ${texts.join(', ')}: its numbers belong to it.`,
    'Leave the adapter’s options as they are there; rates, lengths, data and dropout are free.',
    changed.length === 1 ? { option: pathOf(changed[0]!) } : {},
  );
}

function checkpointOf(context: ServiceContext, from: Run, step: number | undefined): string {
  const kept = listCheckpoints(context.paths.runCheckpoints(from.id));
  const found =
    step === undefined
      ? chosenCheckpoint(context, from)
      : kept.find((folder) => checkpointStep(folder) === step);
  if (found) return found;
  throw new StudioError(
    'no_checkpoint',
    step === undefined
      ? `The run "${from.name}" has kept no checkpoint yet (it is ${from.state}).`
      : `The run "${from.name}" has kept no checkpoint of step ${step}.`,
    kept.length === 0
      ? 'Train it to the end, or stop it with a checkpoint.'
      : `It has those of step ${kept.map(checkpointStep).join(', ')}.`,
  );
}

/** Gives a run the files that it begins with (links of them): what becomes of the other run does not matter to it. */
export function keepStart({ paths }: Pick<ServiceContext, 'paths'>, { id, start, config }: Run): void {
  if (!start) return;
  const kept = listCheckpoints(paths.runCheckpoints(start.runId));
  const source = kept.find((folder) => checkpointStep(folder) === start.step);
  const folder = paths.runStart(id);
  if (!source) {
    throw new StudioError(
      'no_checkpoint',
      `The checkpoint of step ${start.step} of the run "${start.runName}" is gone.`,
      'Choose another one.',
    );
  }
  mkdirSync(folder, { recursive: true });
  const { method } = config.adapter;
  linkFolder(trainedFolder(source, method), trainedFolder(folder, method));
  writeFileAtomic(join(folder, 'state.json'), readFileSync(join(source, 'state.json'), 'utf8'));
}
