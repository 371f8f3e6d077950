import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { baseParameters } from '../../../shape/modelShape.ts';
import { StudioError, toPlainError } from '../../../contract/errors.ts';
import type { HubPreview } from '../../../contract/modelLibrary.ts';
import { readDecoderConfig } from '../../../formats/families/huggingFaceConfig.ts';
import { cardName, isCompanion } from '../../../formats/model/modelFiles.ts';
import { indexedShards, singleWeightName, weightIndexName } from '../../../formats/model/weightFolder.ts';
import { invalidAnswer } from './hubErrors.ts';
import { readHubText } from './hubFile.ts';
import type { HubAccess } from './hubRequest.ts';
import { listRepository, type ListedFile, type Repository } from './repository.ts';

/** What a download takes, and whether it is worth taking. */
export interface Plan extends Pick<HubPreview, 'facts' | 'unusable' | 'licence'> {
  repository: string;
  revision: string;
  commit: string;
  files: ListedFile[];
}

/** config.json and the index are read into memory before anything is downloaded. */
const mostConfigBytes = 10 * 1024 * 1024;
const mostIndexBytes = 64 * 1024 * 1024;

/**
 * Looks at a repository without downloading it: its files, and by its config.json whether the engine can compute it.
 * @param scratch folder for a temporary config.json
 * @throws StudioError as `listRepository` does; what is wrong with the model itself stands in `unusable`
 */
export async function planDownload(
  access: HubAccess,
  name: string,
  revision: string,
  scratch: string,
  signal: AbortSignal,
): Promise<Plan> {
  const repository = await listRepository(access, name, revision, signal);
  const { commit, licence } = repository;
  const plan: Plan = {
    repository: repository.name,
    revision,
    commit,
    licence,
    files: [],
    facts: null,
    unusable: null,
  };
  try {
    plan.files = await modelFiles(access, repository, signal);
    const config = await readHubText(access, repository, 'config.json', mostConfigBytes, signal);
    plan.facts = readFacts(config, scratch);
  } catch (error) {
    if (!(error instanceof StudioError) || !['model_invalid', 'model_unsupported'].includes(error.code))
      throw error;
    plan.unusable = toPlainError(error);
  }
  return plan;
}

async function modelFiles(
  access: HubAccess,
  repository: Repository,
  signal: AbortSignal,
): Promise<ListedFile[]> {
  const byName = new Map(repository.files.map((file) => [file.name, file]));
  const lacking = (what: string, remedy: string) =>
    new StudioError('model_invalid', `${repository.name} ${what}.`, remedy);
  if (!byName.has('config.json'))
    throw lacking(
      'has no config.json',
      'Choose the repository of the model itself, not of an adapter or a dataset.',
    );
  const isSharded = byName.has(weightIndexName);
  if (!isSharded && !byName.has(singleWeightName)) {
    const others = repository.files.filter(({ name }) => /\.(gguf|bin|pt|pth|onnx)$/.test(name));
    throw lacking(
      `has neither ${singleWeightName} nor ${weightIndexName}${others.length > 0 ? ` (it has ${others[0]!.name})` : ''}`,
      'Choose a repository with safetensors weights: GGUF cannot be trained, and pickled weights are never read.',
    );
  }
  if (!byName.has('tokenizer.json'))
    throw lacking('has no tokenizer.json', 'Choose a repository with a fast tokenizer.');
  const weights = isSharded
    ? [weightIndexName, ...(await shardsOf(access, repository, signal))]
    : [singleWeightName];
  const beside = repository.files
    .map(({ name }) => name)
    .filter((name) => name === 'config.json' || name === cardName || isCompanion(name));
  // Small files first: what is wrong with a model shows before its weights are downloaded.
  return [...beside.sort(), ...weights].map((name) => {
    const file = byName.get(name);
    if (!file)
      throw lacking(`lacks ${name}, which its index names`, 'Tell its owner, or choose another revision.');
    if (file.sizeBytes < 0 || (file.sha256 === null && file.gitSha1 === null))
      throw invalidAnswer(`it gives no size and hash for ${name}`);
    return file;
  });
}

async function shardsOf(access: HubAccess, repository: Repository, signal: AbortSignal): Promise<string[]> {
  const text = await readHubText(access, repository, weightIndexName, mostIndexBytes, signal);
  let map: unknown;
  try {
    map = (JSON.parse(text) as { weight_map?: unknown } | null)?.weight_map;
  } catch {
    map = null;
  }
  if (typeof map !== 'object' || map === null)
    throw new StudioError(
      'model_invalid',
      `${weightIndexName} of ${repository.name} has no weight_map.`,
      'Choose another revision, or tell the repository’s owner.',
    );
  return indexedShards(map);
}

function readFacts(config: string, scratch: string): Plan['facts'] {
  mkdirSync(scratch, { recursive: true });
  const folder = mkdtempSync(join(scratch, 'hub-'));
  try {
    writeFileSync(join(folder, 'config.json'), config);
    const decoder = readDecoderConfig(folder);
    return {
      family: decoder.family,
      parameters: baseParameters(decoder),
      contextLength: decoder.contextLength,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
