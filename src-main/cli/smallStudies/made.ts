import { isDeepStrictEqual } from 'node:util';
import type { Model, Run } from '../../contract/entities.ts';
import type { Mix } from '../../contract/mixing/mixes.ts';
import { mixRecipeSchema } from '../../contract/mixing/mixes.ts';
import { StudioError } from '../../contract/errors.ts';
import { trainConfigSchema, type TrainConfig, type TrainConfigInput } from '../../contract/training.ts';
import type { Core } from '../../core/createCore.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import type { ModelShape } from '../../shape/modelShape.ts';
import { addStarterTasks, starterSettings, starterTasks } from '../../services/projects/starter.ts';
import type { CommandContext } from '../commandContext.ts';
import type { Output } from '../output.ts';
import { createWatcher } from '../trainCommand.ts';
import { settle, type SettingKey, type SettledArm } from './settings.ts';

/** What all studies train on. */
export interface Material {
  model: Model;
  shape: ModelShape;
  mix: Mix;
  settings: Omit<TrainConfigInput, 'adapter'>;
}

/** Tasks that the starter model learns within one short training (docs/starter.md). */
const learned = ['functions', 'requests'];
const mixName = 'functions-requests';

/** A larger model learns at lower rates and knows more to begin with: the demo's settings. */
const otherSettings: Omit<TrainConfigInput, 'adapter'> = { learningRate: 5e-4, batch: 8, context: 256 };

/** How long and in what a study trains. */
export interface Training {
  steps: number;
  /** Rows a step; undefined: the usual ones of the model. */
  batch: number | undefined;
  precision: TrainConfig['precision'];
}

/** @param given a model's name or folder; undefined: the starter model */
export async function materialOf(
  core: Core,
  given: string | undefined,
  { steps, batch, precision }: Training,
): Promise<Material> {
  const model = given === undefined ? (await core.addStarter()).model : await core.models.getOrAdd(given);
  const { datasets } = await addStarterTasks(core);
  const own = datasets.filter((_, i) => learned.includes(starterTasks[i]!.name));
  const recipe = mixRecipeSchema.parse({
    sources: own.map(({ id }) => ({ kind: 'dataset', id, amount: { by: 'weight', value: 1 } })),
    unit: 'rows',
  });
  const mix =
    core.mixes.list().find(({ name }) => name === mixName) ??
    core.mixes.create({ name: mixName, recipe, model: null });
  const usual = given === undefined ? starterSettings : otherSettings;
  return {
    model,
    shape: readDecoderConfig(model.folder),
    mix,
    // All rows that are held out: their loss is what settings are compared by.
    settings: {
      ...usual,
      ...(batch !== undefined && { batch }),
      precision,
      maxSteps: steps,
      heldOutRows: 1000,
      checkpointEvery: 0,
    },
  };
}

/**
 * The settings of a study, each trained with every seed: seed by seed, so that one that is stopped has whole pairs.
 * What is trained already is used again, also by another study, and what was stopped goes on.
 * @returns by setting and seed
 */
export async function trainedArms(
  core: Core,
  { material, keys, seeds }: { material: Material; keys: readonly SettingKey[]; seeds: readonly number[] },
  command: CommandContext,
  output: Output,
): Promise<{ arm: SettledArm; runs: Run[] }[]> {
  const arms = keys.map((key) => ({ arm: settle(material.shape, key), runs: [] as Run[] }));
  let isInterrupted = false;
  command.onInterrupt(() => {
    isInterrupted = true;
    output.progress('Stopping after this step, with a checkpoint: the same command goes on.');
    void core.runs.suspend();
  });
  for (const seed of seeds)
    for (const { arm, runs } of arms) {
      const config = trainConfigSchema.parse({ ...material.settings, seed, adapter: arm.adapter });
      const run = await trained(core, material, `${arm.label} s${seed}`, config, output);
      if (isInterrupted)
        throw new StudioError('cancelled', 'The study was stopped.', 'The same command goes on.');
      if (run.error) throw StudioError.fromPlain(run.error);
      runs.push(run);
    }
  return arms;
}

async function trained(
  core: Core,
  { model, mix }: Material,
  name: string,
  config: TrainConfig,
  output: Output,
): Promise<Run> {
  const existing = core.runs
    .list()
    .find(
      (run) =>
        (run.name === name || run.name.startsWith(`${name} `)) &&
        run.modelId === model.id &&
        run.datasetId === mix.id &&
        isDeepStrictEqual(run.config, config),
    );
  if (existing?.state === 'done') return existing;
  output.progress(`Training ${name} ...`);
  const watch = createWatcher({ ...output, json: false });
  if (existing) return (await core.runs.resume(existing.id, watch)).ended;
  const isTaken = core.runs.list().some((run) => run.name === name);
  const free = isTaken ? `${name} (${model.name}, ${config.maxSteps} steps)` : name;
  return (await core.runs.start({ name: free, model: model.id, dataset: mix.id, config }, watch)).ended;
}
