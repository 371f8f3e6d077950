import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { StudioError } from '../../contract/errors.ts';
import { writeFileAtomic } from '../../formats/files/atomicFile.ts';
import type { ServiceContext } from '../context.ts';
import { checkFreeSpace } from '../machine/disk.ts';
import { fetchFile } from '../models/downloads/fetchFile.ts';
import type { HubService } from '../models/hub/hub.ts';
import { invalidAnswer } from '../models/hub/hubErrors.ts';
import { openHubFile } from '../models/hub/hubFile.ts';
import { listRepository, parseRepository, type Repository } from '../models/hub/repository.ts';
import { byteProgress, endProgress } from '../progress.ts';

/** All that the studio reads of an adapter's repository: code and pickles in it are never fetched. */
const wanted = ['adapter_config.json', 'adapter_model.safetensors'];

/**
 * Downloads an adapter of the Hub into the cache, each file complete and verified. What came before a stop is gone on
 * with.
 * @returns its folder there
 * @throws StudioError as the Hub says; adapter_invalid for a repository that holds none, before anything is fetched
 */
export async function fetchAdapter(
  context: ServiceContext,
  hub: HubService,
  given: { repository: string; revision: string | undefined },
  signal: AbortSignal,
): Promise<string> {
  context.writable();
  const named = parseRepository(given.repository);
  const revision = given.revision?.trim() || named.revision || 'main';
  const repository = await listRepository(hub.access(), named.repository, revision, signal);
  const files = filesOf(repository);
  const total = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const { name, commit } = repository;
  const key = createHash('sha256').update(`${name} ${commit}`).digest('hex').slice(0, 16);
  const folder = join(downloads(context), key, name.split('/').at(-1)!);
  mkdirSync(folder, { recursive: true });
  checkFreeSpace(folder, total, `The download of ${name}`);
  const task = `adapter ${given.repository}`;
  const report = byteProgress(context, task, `Downloading ${name}`);
  let complete = 0;
  try {
    for (const file of files) {
      const remote = { repository: name, commit, name: file.name };
      await fetchFile({
        file,
        path: join(folder, file.name),
        signal,
        openFrom: (from) => openHubFile(hub.access(), remote, from, signal),
        onBytes: (done) => report(complete + done, total),
      });
      complete += file.sizeBytes;
    }
    writeFileAtomic(join(dirname(folder), 'source.txt'), `hub/${name}@${commit}`);
    return folder;
  } finally {
    endProgress(context, task);
  }
}

/** Where a downloaded adapter came from; null for a folder that was not downloaded here. */
export function downloadSource(context: ServiceContext, folder: string): string | null {
  if (!isWithin(downloads(context), folder)) return null;
  const note = join(dirname(folder), 'source.txt');
  return existsSync(note) ? readFileSync(note, 'utf8') : null;
}

/** Deletes a download that was taken in; any other folder is left alone. */
export function clearDownload(context: ServiceContext, folder: string): void {
  if (isWithin(downloads(context), folder)) rmSync(dirname(folder), { recursive: true, force: true });
}

function downloads({ paths }: ServiceContext): string {
  return join(paths.cache, 'hub-adapters');
}

function isWithin(parent: string, folder: string): boolean {
  const parts = relative(parent, folder).split(sep);
  return parts.length === 2 && !parts.includes('..');
}

function filesOf(repository: Repository): Repository['files'] {
  const { name: called, files } = repository;
  const lacking = (what: string, remedy: string) =>
    new StudioError('adapter_invalid', `${called} ${what}.`, remedy);
  const has = (name: string) => files.some((file) => file.name === name);
  if (!has('adapter_config.json')) {
    const inner = files.filter(({ name }) => name.endsWith('/adapter_config.json'));
    throw lacking(
      `is no adapter: it has no adapter_config.json${inner.length > 0 ? ` but in ${inner.map(({ name }) => dirname(name)).join(', ')}` : ''}`,
      inner.length > 0
        ? 'Download that folder with hf download, and add it from there.'
        : has('config.json')
          ? 'It is a whole model: add it among the models.'
          : 'Choose the repository of an adapter.',
    );
  }
  if (!has('adapter_model.safetensors'))
    throw lacking(
      has('adapter_model.bin')
        ? 'has its tensors in adapter_model.bin, a Python pickle, which the studio does not run'
        : 'has no adapter_model.safetensors',
      'Choose a revision with safetensors, or ask its owner to save the adapter once more with PEFT.',
    );
  return wanted.map((name) => {
    const file = files.find((one) => one.name === name)!;
    if (file.sizeBytes < 0 || (file.sha256 === null && file.gitSha1 === null))
      throw invalidAnswer(`it gives no size and hash for ${name}`);
    return file;
  });
}
