import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DatasetFormat, Model, ModelIdentity, Run } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { AskedTemplate } from '../../contract/templates.ts';
import { quantizationOf, type Precision } from '../../contract/training.ts';
import type { Rendering } from '../../data/rendering/renderer.ts';
import { renderingOf } from '../../data/rendering/tokenizeRow.ts';
import type { ModelReference } from '../../engine/protocol.ts';
import { openAdapterFolder } from '../../formats/adapter/peftAdapter.ts';
import {
  checkpointModels,
  checkpointStep,
  listCheckpoints,
  trainedFolder,
} from '../../formats/checkpoint/checkpointFolder.ts';
import { createIdentityReader, identityOf, weightStamp } from '../../formats/model/identity.ts';
import { datasets } from '../../store/library.ts';
import { findRun } from '../../store/runs.ts';
import { typedPath } from '../homePaths.ts';
import type { ServiceContext } from '../context.ts';
import { checkBase } from '../runs/checkpoints.ts';
import type { RunService } from '../runs/runService.ts';

/** A model that is evaluated or used: the base, the base with an adapter, or what full fine-tuning made of it. */
export interface Subject {
  /** `base`, the run's name, or the adapter's folder. */
  name: string;
  model: Model;
  run: Run | null;
  reference: ModelReference;
  /** Of the model that computes: the base, or what full fine-tuning made of it. */
  identity: ModelIdentity;
  /** Hash of what decides its outputs besides: the adapter, and how the base is kept. */
  adapterHash: string;
  /** Of a kept checkpoint its step; null: what stands for the run. */
  step: number | null;
}

/**
 * Finds the adapter that a person means: null is the base model, else a run's name or a PEFT folder.
 * @param step of a run the kept checkpoint; absent: the one that stands for the run
 * @throws StudioError not_found; config_invalid where the run belongs to another model; no_checkpoint
 */
export function findSubject(
  context: ServiceContext,
  runs: RunService,
  model: Model,
  adapter: string | null,
  precision: Precision,
  step?: number,
): Subject {
  const identity = identityOf(model);
  const reference = { folder: model.folder, weightsSha256: model.contentHash, precision };
  if (adapter === null)
    return {
      model,
      name: 'base',
      run: null,
      step: null,
      reference: { ...reference, adapterFolder: null },
      identity,
      adapterHash: hashOf([precision]),
    };
  const run = findRun(context.database, context.project, adapter);
  const checkpoint = run && runCheckpoint(context, runs, { run, model, step });
  const of = checkpoint === null ? null : otherStep(runs, run!, checkpoint);
  if (run?.config.adapter.method === 'full')
    return {
      model,
      name: run.name,
      run,
      step: of,
      reference: { folder: trainedFolder(checkpoint!, 'full'), precision, adapterFolder: null },
      ...fullyTrained(identity, checkpoint!, precision),
    };
  // A run's adapter is judged on the base that it was trained on.
  const quantization = run ? quantizationOf(run.config) : 'none';
  const folder = run ? trainedFolder(checkpoint!, run.config.adapter.method) : typedPath(adapter);
  if (!run && !existsSync(join(folder, 'adapter_config.json')))
    throw new StudioError(
      'not_found',
      `There is no run "${adapter}", and no adapter folder of that name.`,
      'Give the name of a run (runs list) or a folder with adapter_config.json.',
    );
  // What cannot be read is said before an engine starts.
  openAdapterFolder(folder).tensors.close();
  return {
    model,
    name: run?.name ?? folder,
    run,
    step: of,
    reference: { ...reference, quantization, adapterFolder: folder },
    identity,
    adapterHash: hashOf([
      precision,
      ...{ none: [], int8: ['8 bits'], nf4: ['NF4'] }[quantization],
      ...['adapter_config.json', 'adapter_model.safetensors'].map((file) =>
        createHash('sha256')
          .update(readFileSync(join(folder, file)))
          .digest('hex'),
      ),
    ]),
  };
}

/**
 * What full fine-tuning made of a base. The hash of its weights is the one that their writer found: they may be too
 * many to hash at each evaluation. Texts are read with the tokenizer of the base.
 */
function fullyTrained(
  base: ModelIdentity,
  checkpoint: string,
  precision: Precision,
): Pick<Subject, 'identity' | 'adapterHash'> {
  const folder = trainedFolder(checkpoint, 'full');
  const weights = checkpointModels(checkpoint).weightsSha256 ?? weightStamp(folder);
  const { config, generation } = createIdentityReader().read(folder, weights);
  return { identity: { ...base, weights, config, generation }, adapterHash: hashOf([precision]) };
}

/** @throws StudioError config_invalid where a run was trained, or is to be, on another model */
export function requireOwnModel(run: Pick<Run, 'name' | 'modelId' | 'modelName'>, model: Model): void {
  if (run.modelId === model.id) return;
  throw new StudioError(
    'config_invalid',
    `The run "${run.name}" was trained on "${run.modelName}", not on "${model.name}".`,
    `Choose the model "${run.modelName}".`,
  );
}

function runCheckpoint(
  { paths }: Pick<ServiceContext, 'paths'>,
  runs: RunService,
  { run, model, step }: { run: Run; model: Model; step: number | undefined },
): string {
  requireOwnModel(run, model);
  const kept = step === undefined ? [] : listCheckpoints(paths.runCheckpoints(run.id));
  const checkpoint =
    step === undefined ? runs.requireCheckpoint(run) : kept.find((folder) => checkpointStep(folder) === step);
  if (checkpoint === undefined)
    throw new StudioError(
      'no_checkpoint',
      `The run "${run.name}" has kept no checkpoint of step ${step}.`,
      kept.length === 0
        ? 'It has kept none.'
        : `It has those of step ${kept.map(checkpointStep).join(', ')}.`,
    );
  checkBase(run, model, checkpoint);
  return checkpoint;
}

/** The step of a checkpoint; null where it is the one that stands for its run. */
function otherStep(runs: RunService, run: Run, checkpoint: string): number | null {
  return checkpoint === runs.requireCheckpoint(run) ? null : checkpointStep(checkpoint);
}

function hashOf(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

/**
 * How a conversation becomes text for a subject: as its run was trained, where nothing else is asked for.
 * @param run null: the base model, or an adapter from elsewhere
 */
export function chatRendering(
  { database }: Pick<ServiceContext, 'database'>,
  run: Run | null,
  asked: AskedTemplate = {},
): Rendering {
  const format = (run?.datasetId && datasets.find(database, run.datasetId)?.format) || 'chat';
  const trained = run ? renderingOf({ format }, run.config) : renderingOf({ format });
  const { name = trained.template.name, source = trained.template.source } = asked;
  const system = asked.system ?? trained.template.system;
  return { ...trained, template: { name, source: source ?? null, system } };
}

/**
 * How rows become text whose answers are scored: every answer, whatever the run was trained on, so that runs can be
 * compared.
 * @param format of the rows
 */
export function scoredRendering(
  context: Pick<ServiceContext, 'database'>,
  { run }: Pick<Subject, 'run'>,
  format: DatasetFormat,
): Rendering {
  return { ...chatRendering(context, run), trainOn: 'assistant', format };
}
