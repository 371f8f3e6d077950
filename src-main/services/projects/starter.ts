import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import type { Dataset, Model } from '../../contract/entities.ts';
import { mixRecipeSchema, type Mix } from '../../contract/mixing/mixes.ts';
import type { TrainConfigInput } from '../../contract/training.ts';
import { freeName } from '../context.ts';
import type { DatasetService } from '../data/datasetService.ts';
import type { MixService } from '../mixes/mixes.ts';
import type { ModelService } from '../models/models.ts';

/** A task of the starter lab and how it is scored. */
export interface StarterTask {
  /** Its folder in resources/starter/tasks, which has the parts train, validation and test. */
  name: 'word-problems' | 'functions' | 'creatures' | 'requests';
  label: string;
  /** Whose form it has. */
  benchmark: 'gsm8k' | 'humaneval' | 'mmlu' | 'refusal';
  /** Whether its benchmark asks a bare question, so that it needs the template by which it was learned. */
  chat: boolean;
  /** Tokens of an answer at most: those of the tasks are short. 0: nothing is generated. */
  maxTokens: number;
}

export const starterTasks: readonly StarterTask[] = [
  { name: 'word-problems', label: 'Word problems', benchmark: 'gsm8k', chat: false, maxTokens: 72 },
  { name: 'functions', label: 'Python functions', benchmark: 'humaneval', chat: false, maxTokens: 40 },
  { name: 'creatures', label: 'Creatures, four choices', benchmark: 'mmlu', chat: false, maxTokens: 0 },
  { name: 'requests', label: 'Requests, some to refuse', benchmark: 'refusal', chat: true, maxTokens: 32 },
];

/** With these an adapter learns most of the tasks within minutes on two cores. */
export const starterSettings: Omit<TrainConfigInput, 'adapter'> = {
  learningRate: 4e-3,
  batch: 8,
  context: 128,
  packing: true,
  maxSteps: 240,
};

const folder = fileURLToPath(new URL('../../../resources/starter', import.meta.url));
export const starterModelFolder = `${folder}/model`;

/** How the starter model was made: resources/starter/record.json. */
export const starterRecordSchema = z.object({ weightsSha256: z.string().length(64) }).loose();

/** What a first run is made with, without anything to download. */
export interface Starter {
  model: Model;
  /** In the order of `starterTasks`. */
  datasets: Dataset[];
  /** All of them with as many rows of each. */
  mix: Mix;
}

interface Services {
  models: Pick<ModelService, 'list' | 'add'>;
  datasets: Pick<DatasetService, 'list' | 'add'>;
  mixes: Pick<MixService, 'list' | 'create'>;
}

/** Adds the studio's own model, its tasks and their mix; what is there already is used. */
export async function addStarter(services: Services): Promise<Starter> {
  const { weightsSha256 } = starterRecordSchema.parse(
    JSON.parse(readFileSync(`${folder}/record.json`, 'utf8')),
  );
  const model =
    services.models.list().find(({ contentHash, unusable }) => contentHash === weightsSha256 && !unusable) ??
    (await services.models.add({
      folder: starterModelFolder,
      name: freeNameIn(services.models.list(), 'starter'),
      copy: true,
    }));
  return { model, ...(await addStarterTasks(services)) };
}

/** The tasks and their mix alone, for another model. */
export async function addStarterTasks({
  datasets,
  mixes,
}: Omit<Services, 'models'>): Promise<Omit<Starter, 'model'>> {
  const added: Dataset[] = [];
  for (const task of starterTasks) {
    const path = starterTaskFolder(task);
    const known = datasets.list().find(({ sourcePath }) => sourcePath === path);
    // Another checkout's tasks lie elsewhere and have the name already.
    const name = freeNameIn(datasets.list(), `starter-${task.name}`);
    added.push(known ?? (await datasets.add({ path, name })));
  }
  const isOfThese = ({ sources }: Mix) =>
    sources.length === added.length && sources.every(({ id }, i) => id === added[i]!.id);
  const recipe = mixRecipeSchema.parse({
    sources: added.map(({ id }) => ({ kind: 'dataset', id, amount: { by: 'weight', value: 1 } })),
    unit: 'rows',
  });
  const mix =
    mixes.list().find((known) => isOfThese(known)) ??
    mixes.create({ name: freeNameIn(mixes.list(), 'starter-mix'), recipe, model: null });
  return { datasets: added, mix };
}

const freeNameIn = (named: readonly { name: string }[], wish: string) =>
  freeName(wish, (name) => named.some((one) => one.name === name));

function starterTaskFolder({ name }: StarterTask): string {
  return `${folder}/tasks/${name}`;
}

/** How a task is put to a model. @param limit null: all test items */
export function starterScoring(task: StarterTask, limit: number | null) {
  const { benchmark, chat, maxTokens } = task;
  return {
    benchmark,
    data: { path: `${starterTaskFolder(task)}/test.jsonl` },
    limit,
    shots: 0,
    seed: 0,
    ...(maxTokens > 0 && { maxTokens }),
    ...(chat && { chat }),
  };
}
