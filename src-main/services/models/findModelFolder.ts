import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { StudioError } from '../../contract/errors.ts';
import { foreignFile } from '../../formats/files/foreignFile.ts';
import { typedPath } from '../homePaths.ts';

/** The repository and commit that a snapshot of the Hugging Face cache belongs to; null elsewhere. */
export function cacheOrigin(folder: string): { repository: string; commit: string } | null {
  const [commit, snapshots, repository] = [
    basename(folder),
    basename(dirname(folder)),
    basename(dirname(dirname(folder))),
  ];
  if (snapshots !== 'snapshots' || !repository.startsWith('models--')) return null;
  return { repository: repository.slice('models--'.length).replaceAll('--', '/'), commit };
}

/**
 * The model folder that a person means: the folder itself, or of a repository of the Hugging Face cache its main
 * snapshot.
 * @throws StudioError not_found, or model_invalid with what lies there instead of a model
 */
export function findModelFolder(given: string): string {
  const folder = typedPath(given);
  const stats = statSync(folder, { throwIfNoEntry: false });
  if (!stats)
    throw new StudioError(
      'not_found',
      `There is no folder ${folder}.`,
      'Check the path; it must lie on the machine that the studio runs on.',
    );
  if (!stats.isDirectory())
    throw new StudioError(
      'model_invalid',
      `${folder} is a file, not a model folder.`,
      'Choose the folder that holds config.json, the *.safetensors files and tokenizer.json, or a file that ends with .gguf.',
    );
  const config = join(folder, 'config.json');
  if (existsSync(config)) return folder;
  const foreign = foreignFile(config);
  if (foreign) throw new StudioError('model_invalid', `config.json ${foreign.what}.`, foreign.remedy);
  const main = mainSnapshot(folder);
  if (main) return main;
  const names = readdirSync(folder);
  const inner = names.filter((name) => existsSync(join(folder, name, 'config.json')));
  const has =
    names.length === 0
      ? 'is empty'
      : `has no config.json (it holds ${names.slice(0, 4).join(', ')}${names.length > 4 ? ', …' : ''})`;
  throw new StudioError(
    'model_invalid',
    `${folder} holds no model: it ${has}. A model folder has config.json, model.safetensors (or shards with their index) and tokenizer.json.`,
    inner.length > 0
      ? `Choose a folder inside it: ${inner.slice(0, 3).join(', ')}${inner.length > 3 ? ' …' : '.'}`
      : 'Choose the folder that the model was downloaded or saved to.',
  );
}

function mainSnapshot(folder: string): string | null {
  if (!basename(folder).startsWith('models--')) return null;
  const ref = join(folder, 'refs', 'main');
  if (!existsSync(ref)) return null;
  const commit = readFileSync(ref, 'utf8').trim();
  const snapshot = join(folder, 'snapshots', commit);
  return /^[0-9a-f]{40}$/.test(commit) && existsSync(join(snapshot, 'config.json')) ? snapshot : null;
}
