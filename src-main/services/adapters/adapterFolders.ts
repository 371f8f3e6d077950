import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Model } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { FoundAdapter } from '../../contract/imports/adapters.ts';
import {
  appliedConfig,
  misfitOf,
  openAdapterFolder,
  type AdapterFolder,
} from '../../formats/adapter/peftAdapter.ts';
import { storesRows } from '../../formats/adapter/adapterRows.ts';
import { adaptedPaths } from '../../formats/adapter/peftPlacement.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import { methodOf } from '../../methods/registry.ts';
import { typedPath } from '../homePaths.ts';
import { cacheOrigin } from '../models/findModelFolder.ts';

const configName = 'adapter_config.json';

/**
 * The adapter folder that a person means: the folder itself, or of a repository of the Hugging Face cache its main
 * snapshot.
 * @throws StudioError not_found with what lies there instead
 */
export function findAdapterFolder(given: string): string {
  const path = typedPath(given);
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats)
    throw new StudioError(
      'not_found',
      `There is no folder ${path}.`,
      'Check the path; it must lie on the machine that the studio runs on.',
    );
  // Who picks a file of the folder means the folder.
  const folder = stats.isDirectory() ? path : join(path, '..');
  if (existsSync(join(folder, configName))) return folder;
  const ref = join(folder, 'refs', 'main');
  if (basename(folder).startsWith('models--') && existsSync(ref)) {
    const commit = readFileSync(ref, 'utf8').trim();
    const snapshot = join(folder, 'snapshots', commit);
    if (/^[0-9a-f]{40}$/.test(commit) && existsSync(join(snapshot, configName))) return snapshot;
  }
  const inner = readdirSync(folder).filter((name) => existsSync(join(folder, name, configName)));
  throw new StudioError(
    'not_found',
    `${folder} is no adapter: it has no ${configName}.`,
    inner.length > 0
      ? `Choose a folder inside it: ${inner.slice(0, 3).join(', ')}${inner.length > 3 ? ' …' : '.'}`
      : existsSync(join(folder, 'config.json'))
        ? 'It is a whole model: add it among the models.'
        : 'Choose the folder that PEFT’s save_pretrained wrote.',
  );
}

/** What a folder holds, and which models of the library may be its base; those that it names first. */
export function describeAdapter(folder: string, models: readonly Model[]): FoundAdapter {
  const opened = openAdapterFolder(folder);
  try {
    const adapter = appliedConfig(opened);
    return {
      folder,
      peftType: methodOf(adapter)!.peftType,
      adapter,
      baseName: opened.baseName,
      modules: adaptedPaths(opened.keys.keys()).length,
      sizeBytes: statSync(opened.tensors.path).size,
      models: models
        .map((model) => {
          const problem = problemOf(model, opened);
          return {
            id: model.id,
            name: model.name,
            isNamed: isNamed(model, opened),
            problem: problem?.toPlain() ?? null,
          };
        })
        .sort((a, b) => rankOf(a) - rankOf(b)),
    };
  } finally {
    opened.tensors.close();
  }
}

function rankOf({ isNamed, problem }: FoundAdapter['models'][number]): number {
  return (problem ? 2 : 0) + (isNamed ? 0 : 1);
}

/** Why a model cannot be the base of an adapter; null where it can. */
export function problemOf(model: Model, adapter: AdapterFolder): StudioError | null {
  if (model.unusable) return StudioError.fromPlain(model.unusable);
  const { baseSha256 } = adapter;
  // Rows that lie in the file are compared with the base's own when it is read.
  if (baseSha256 !== null && baseSha256 !== model.contentHash && !storesRows(adapter.keys))
    return new StudioError(
      'adapter_invalid',
      `The adapter refers to rows of the base weights ${baseSha256.slice(0, 12)}…, and "${model.name}" has ${model.contentHash.slice(0, 12)}….`,
      'Choose the model with the very weights that it was trained on: in another precision they are others.',
    );
  try {
    return misfitOf(readDecoderConfig(model.folder), adapter);
  } catch (error) {
    // A damaged model is no base; the others are still told.
    if (error instanceof StudioError) return error;
    throw error;
  }
}

/** Whether an adapter names a model as its base. */
function isNamed(
  { name, folder, origin, contentHash }: Model,
  { baseName, baseSha256 }: AdapterFolder,
): boolean {
  if (baseSha256 !== null) return baseSha256 === contentHash;
  if (baseName === null) return false;
  const repository = (origin ?? cacheOrigin(folder))?.repository;
  if (repository !== undefined && baseName.includes('/')) return repository === baseName;
  const last = baseName.split(/[\\/]/).at(-1)!;
  return [repository?.split('/').at(-1), basename(folder), name].includes(last);
}
