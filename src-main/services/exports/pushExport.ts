import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { StudioError, toPlainError } from '../../contract/errors.ts';
import type { ExportRecord, PushedExport } from '../../contract/results.ts';
import { certificateVerdict } from '../../options/exits.ts';
import { sha256Of } from '../../formats/files/sha256.ts';
import { listExports } from '../../store/results.ts';
import { findRun } from '../../store/runs.ts';
import type { ServiceContext } from '../context.ts';
import { typedPath } from '../homePaths.ts';
import { hubAccess } from '../models/hub/hubRequest.ts';
import { findToken } from '../models/hub/hubToken.ts';
import { listRepository, parseRepository, type Repository } from '../models/hub/repository.ts';
import { withProgress } from '../progress.ts';
import { createRepository, uploadFiles, type FileToUpload } from './hubUpload.ts';
import { cardForRepository } from './modelCard.ts';

export interface PushRequest {
  /** Its id, its folder, or a run, whose newest export is meant. */
  export: string;
  /** `organization/name`. */
  repository: string;
  /** Absent: a new repository is private. */
  isPublic?: boolean | undefined;
  /** Takes the place of files of the same names that are there with another content. */
  overwrite?: boolean | undefined;
}

/**
 * Sends an export to a repository of the Hub, as one commit.
 * @throws StudioError not_found; config_invalid for an export whose certificate is not good; model_changed where its
 * files are others since; name_taken where other files of the same names are there; hub_* as the Hub answers
 */
export async function pushExport(
  context: ServiceContext,
  request: PushRequest,
  signal: AbortSignal,
): Promise<PushedExport> {
  const record = findExport(context, request.export);
  const { repository } = parseRepository(request.repository);
  if (!repository.includes('/'))
    throw new StudioError(
      'usage',
      `"${repository}" names no owner: a repository to write to is called owner/name.`,
      `Put your account’s or organization’s name before it: owner/${repository}.`,
    );
  const access = hubAccess(() => findToken(context.paths.hubToken));
  if (!access.token())
    throw new StudioError(
      'hub_denied',
      'There is no access token: the Hub takes files from accounts only.',
      'Make a token with the right to write in your account’s settings on the Hub, and give it in the studio’s Settings.',
    );
  return withProgress(context, `push ${repository}`, 'Reading the files', async (report) => {
    const files = record.files.map((file) => fileOf(record, file, repository));
    const isNew = await createRepository(access, { repository, isPrivate: !request.isPublic }, signal);
    const there = await present(access, repository, signal);
    const same = files.filter((file) => isThere(file, there));
    const missing = files.filter((file) => !same.includes(file));
    const taken = missing.filter(({ path }) => there?.files.some(({ name }) => name === path));
    if (taken.length > 0 && !request.overwrite)
      throw new StudioError(
        'name_taken',
        `${repository} has other files of these names: ${taken.map(({ path }) => path).join(', ')}.`,
        'Choose another repository, or say that they are to be replaced (--overwrite).',
      );
    const commit =
      missing.length === 0
        ? there!.commit
        : await uploadFiles(
            access,
            {
              repository,
              files: missing,
              summary: 'Upload by ID-LoRA Studio',
              parent: there?.commit ?? null,
            },
            signal,
            (done, total) => report('Sending the files', done, total),
          );
    return {
      repository,
      url: `${access.endpoint}/${repository}`,
      commit,
      isNew,
      sent: missing.map(({ path }) => path),
      alreadyThere: same.map(({ path }) => path),
    };
  });
}

function findExport({ database, project }: ServiceContext, reference: string): ExportRecord {
  const records = listExports(database);
  const run = findRun(database, project, reference);
  const folder = typedPath(reference);
  const record =
    records.find((each) => each.id === reference) ??
    records.find((each) => each.folder === folder) ??
    records.find((each) => each.runId === run?.id);
  if (!record)
    throw new StudioError(
      'not_found',
      `There is no export "${reference}", and no export of a run of that name.`,
      'Export the run first.',
    );
  const later = records.find(
    ({ folder, createdAt }) => folder === record.folder && createdAt > record.createdAt,
  );
  if (later)
    throw new StudioError(
      'model_changed',
      `A later export wrote over ${record.folder}.`,
      'Push that one, or export once more into a folder of its own.',
    );
  const verdict = certificateVerdict(record.certificate);
  if (!verdict.isGood)
    throw new StudioError(
      'config_invalid',
      `The export at ${record.folder} is not pushed: it ${verdict.long}.`,
      'Its certificate says what is wrong; mend it and export once more.',
    );
  return record;
}

/** A file of an export as it goes out: the card with the repository's name in it. @throws StudioError model_changed */
function fileOf(
  record: ExportRecord,
  known: ExportRecord['files'][number],
  repository: string,
): FileToUpload {
  const file = join(record.folder, known.name);
  const changed = () =>
    new StudioError(
      'model_changed',
      `${file} is no longer the file that was exported and checked.`,
      'Export once more, then push.',
    );
  try {
    if (sha256Of([file]) !== known.sha256) throw changed();
  } catch (error) {
    throw toPlainError(error).code === 'internal' ? changed() : error;
  }
  const path = known.name.replaceAll('\\', '/');
  if (path !== 'README.md')
    return { path, sizeBytes: known.sizeBytes, sha256: known.sha256, content: { file } };
  const content = Buffer.from(cardForRepository(readFileSync(file, 'utf8'), repository));
  const sha256 = createHash('sha256').update(content).digest('hex');
  return { path, sizeBytes: content.length, sha256, content };
}

/** What the repository holds; null: nothing yet. */
async function present(
  access: ReturnType<typeof hubAccess>,
  repository: string,
  signal: AbortSignal,
): Promise<Repository | null> {
  try {
    return await listRepository(access, repository, 'main', signal);
  } catch (error) {
    const { code } = toPlainError(error);
    // A repository without a commit has no main.
    if (code === 'not_found') return null;
    throw error;
  }
}

function isThere(file: FileToUpload, there: Repository | null): boolean {
  const known = there?.files.find(({ name }) => name === file.path);
  if (!known) return false;
  if (known.sha256 !== null) return known.sha256 === file.sha256;
  const content = Buffer.isBuffer(file.content) ? file.content : readFileSync(file.content.file);
  const git = createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');
  return known.gitSha1 === git;
}
