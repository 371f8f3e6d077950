import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Dataset, Model, Run } from '../../contract/entities.ts';
import {
  type Evaluation,
  type ExportFormat,
  type ExportOptions,
  type ExportRecord,
  type PushedExport,
  type ComparedExit,
} from '../../contract/results.ts';
import { StudioError } from '../../contract/errors.ts';
import type { ProcedureHandlers } from '../../contract/procedures.ts';
import type { EngineEvent } from '../../engine/messages.ts';
import type { ExportRequest, ExportResult, ModelReference } from '../../engine/protocol.ts';
import { trainedFolder } from '../../formats/checkpoint/checkpointFolder.ts';
import { snapshotDatasets } from '../../contract/mixing/mixes.ts';
import { quantizationOf } from '../../contract/training.ts';
import { writeFileAtomic } from '../../formats/files/atomicFile.ts';
import { readLicence } from '../../formats/model/licence.ts';
import { ggufWeightName } from '../../formats/model/weightFolder.ts';
import { isGguf, loadsInPeft, meantOptions, roundedBaseNote } from '../../options/exits.ts';
import { datasets } from '../../store/library.ts';
import { insertExport, listEvaluations, listExports } from '../../store/results.ts';
import { newId, type ServiceContext } from '../context.ts';
import { typedPath } from '../homePaths.ts';
import { checkFreeSpace } from '../machine/disk.ts';
import { cacheOrigin } from '../models/findModelFolder.ts';
import type { ModelService } from '../models/models.ts';
import { withProgress, type ReportPart } from '../progress.ts';
import { checkBase } from '../runs/checkpoints.ts';
import type { RunService } from '../runs/runService.ts';
import { exportBytes, formatOf, isWeightType, refuseIdleOptions } from './askedExport.ts';
import { certify } from './certificate.ts';
import { compareExits } from './compareExits.ts';
import { calibrate } from './frozenRoute.ts';
import { prepareExportFolder } from './exportFolder.ts';
import { isWhole, modelCard } from './modelCard.ts';
import { requireSoftware } from './otherSoftware.ts';
import { chatTemplateOf, templateOfRun, writeModelfile } from './modelfile.ts';
import { pushExport, type PushRequest } from './pushExport.ts';
import { writePythonPackage } from './pythonPackage.ts';

export interface ExportService {
  /** Newest first; an export whose folder a later one has overwritten says when. */
  list(): ExportRecord[];
  /** Where an export of the run goes where a person names no folder. */
  suggestFolder(run: string, format?: ExportFormat): string;
  /**
   * Writes a folder with what the run trained and checks that it computes what the run computes.
   * @param options.folder absent: the suggested one
   * @throws StudioError no_checkpoint; config_invalid for a format that the run's method has not; name_taken, not_found
   * or disk_full for a folder that cannot be written, before anything is computed
   */
  create(
    options: {
      run: string;
      format?: ExportFormat | undefined;
      folder?: string | undefined;
    } & ExportOptions,
    signal: AbortSignal,
  ): Promise<ExportRecord>;
  /** The ways out of a run side by side. @param options.measure decodes with each form that was exported */
  compare(
    options: { run: string; measure?: boolean | undefined },
    signal: AbortSignal,
  ): Promise<ComparedExit[]>;
  /** Sends an export to a repository of the Hub. @throws StudioError as `pushExport` does */
  push(request: PushRequest, signal: AbortSignal): Promise<PushedExport>;
}

export function createExportService(
  context: ServiceContext,
  models: ModelService,
  runs: RunService,
): ExportService {
  /** Named by the run, and numbered where something else lies there. */
  const suggestFolder = (run: Run, asked?: ExportFormat): string => {
    const format = formatOf(run, asked);
    const name = `${run.name.replace(/[^\w. -]/g, '_').replace(/^[. ]+/, '_') || 'run'}${run.config.adapter.method === 'full' || format === 'peft' ? '' : `-${format}`}`;
    const records = listExports(context.database);
    const isFree = (folder: string): boolean =>
      !existsSync(folder) ||
      (format === 'peft' && records.find((record) => record.folder === folder)?.runId === run.id);
    for (let number = 1; ; number++) {
      const folder = join(context.paths.exports, number === 1 ? name : `${name}-${number}`);
      if (isFree(folder)) return folder;
    }
  };

  return {
    list() {
      const records = listExports(context.database);
      const newest = new Map<string, ExportRecord>();
      return records.map((record) => {
        const later = newest.get(record.folder);
        newest.set(record.folder, record);
        return later ? { ...record, overwrittenAt: later.createdAt } : record;
      });
    },
    async compare({ run: reference, measure = false }, signal) {
      const run = runs.get(reference);
      const model = measure ? await models.use(run.modelId, signal) : null;
      const family = models.list().find(({ id }) => id === run.modelId)?.family ?? null;
      return compareExits(context, run, { family, model }, signal);
    },
    push: (request, signal) => pushExport(context, request, signal),
    suggestFolder: (run, format) => suggestFolder(runs.get(run), format),
    async create(options, signal) {
      const run = runs.get(options.run);
      const checkpoint = runs.requireCheckpoint(run);
      const { adapter } = run.config;
      const model = await models.use(run.modelId, signal);
      const format = formatOf(run, options.format, model.family);
      refuseIdleOptions(run, format, options);
      checkBase(run, model, checkpoint);
      // Looked for before anything is written: an export may take long.
      if (options.checkElsewhere) await requireSoftware(isGguf(format), signal);
      const folder = options.folder === undefined ? suggestFolder(run, format) : typedPath(options.folder);
      const trained = trainedFolder(checkpoint, adapter.method);
      prepareExportFolder({
        path: folder,
        format,
        bytes: exportBytes({ run, model, format, options }, trained),
      });
      const job = { run, model, format, checkpoint, folder, options };
      const made = withProgress(context, `export ${run.name}`, writing, (report) =>
        writeAndCertify(context, job, { signal, report }),
      );
      const record: ExportRecord = {
        id: newId(),
        runId: run.id,
        format,
        folder,
        ...(await made),
        createdAt: new Date().toISOString(),
      };
      insertExport(context.writable(), record);
      context.emit({ type: 'exports.changed' });
      return record;
    },
  };
}

const writing = 'Writing the files, part 1 of 3';

/** What is exported, and where to. */
interface ExportJob {
  run: Run;
  model: Model;
  format: ExportFormat;
  checkpoint: string;
  folder: string;
  options: ExportOptions;
}

/** Writes the files, compares them with the run, and lays beside them what whoever gets them should know. */
async function writeAndCertify(
  context: ServiceContext,
  job: ExportJob,
  options: { signal: AbortSignal; report: ReportPart },
): Promise<Pick<ExportRecord, 'certificate' | 'files'>> {
  const { signal, report } = options;
  const { run, model, format, checkpoint, folder, options: asked } = job;
  const { embedPivots, dtype, rank, checkElsewhere = false } = asked;
  const { adapter } = run.config;
  const whole = (place: string) => ({ folder: place, precision: 'f32', adapterFolder: null }) as const;
  const adapted = (place: string) => ({ ...whole(model.folder), adapterFolder: place });
  const source = trainedFolder(checkpoint, adapter.method);
  const trained: ModelReference = adapter.method === 'full' ? whole(source) : adapted(source);
  const first = firstDataset(run);
  const dataset = (first !== null && datasets.find(context.database, first)) || null;
  const calibration = meantOptions(adapter.method, format).has('calibration')
    ? await calibrate(
        context,
        { run, model, dataset: calibrationSet(context, run, asked.calibration), routed: trained },
        options,
      )
    : null;
  /** Where a GGUF file lies as the studio reads it. */
  const temporary = mkdtempSync(join(tmpdir(), 'id-lora-export-'));
  // An adapter's base in the form that llama.cpp reads, where it is to read both: many gigabytes, and the system's
  // temporary folder may lie in memory.
  const basePlace =
    checkElsewhere && format === 'gguf-lora' ? checkFolder(context, 4 * model.parameters) : null;
  try {
    const asking = isGguf(format) ? await templateOfRun({ run, model, dataset }, signal) : null;
    const readBack = join(temporary, 'files');
    const baseFile = basePlace && join(basePlace, 'base.gguf');
    const request: ExportRequest = {
      kind: 'export',
      format,
      modelFolder: model.folder,
      baseName: publicName(model),
      checkpoint,
      adapter,
      quantization: quantizationOf(run.config),
      outFolder: folder,
      ...(embedPivots && { embedPivots }),
      ...(isWeightType(dtype) && { dtype }),
      ...(rank !== undefined && { rank }),
      ...(calibration && { route: calibration.route }),
      ...(asking && {
        readBack,
        ...(baseFile && { baseFile }),
        storedAs: dtype ?? 'F16',
        chatTemplate: chatTemplateOf(asking),
        title: { name: run.name, licence: readLicence(model.folder)?.name ?? null },
      }),
    };
    const onEvent = (event: EngineEvent) => {
      if (event.type === 'progress') report(writing, event.done, event.total);
    };
    const result = await context.engine.start(request, { signal, onEvent }).result;
    let meant: ModelReference | null = null;
    if (format === 'gguf' && calibration) {
      // What the merged weights are to compute: the LoRA that the frozen route is.
      const outFolder = join(temporary, 'frozen');
      await context.engine.start({ ...request, format: 'lora', outFolder }, { signal, onEvent }).result;
      meant = adapted(outFolder);
    }
    const exported = {
      peft: adapted(folder),
      lora: adapted(folder),
      merged: whole(folder),
      'gguf-lora': adapted(readBack),
      gguf: whole(readBack),
    }[format];
    // Other software finds it beside the files.
    const beside = format === 'peft' && !loadsInPeft(adapter.method) ? writePythonPackage(folder) : [];
    const isReadBack = asking !== null;
    const gguf =
      format === 'gguf'
        ? { model: join(folder, ggufWeightName), lora: null }
        : format === 'gguf-lora' && baseFile
          ? { model: baseFile, lora: join(folder, 'adapter.gguf') }
          : null;
    const subject = {
      model,
      dataset,
      trained,
      exported,
      meant,
      isReadBack,
      result,
      calibration,
      checkElsewhere,
      gguf,
    };
    // The files are whole whatever the checks find: one that fails must not leave half an export.
    const names = new Set([
      ...result.files,
      ...writeDataContract(run, folder),
      ...beside,
      ...(asking ? writeModelfile(folder, format, { asked: asking, run, base: publicName(model) }) : []),
      ...writeModelCard(context, job, result),
    ]);
    const certificate = await certify(context, subject, options);
    const note = roundedBaseNote(quantizationOf(run.config), model, isWhole(format));
    const notes = note ? { notes: [...(certificate.notes ?? []), note] } : {};
    const files = await Promise.all([...names].map((name) => describeFile(folder, name)));
    return { certificate: { ...certificate, ...notes }, files };
  } finally {
    calibration?.close();
    rmSync(temporary, { recursive: true, force: true });
    if (basePlace) rmSync(basePlace, { recursive: true, force: true });
  }
}

/** A folder of its own in the cache. @throws StudioError disk_full where it has no room for so many bytes */
function checkFolder({ paths }: ServiceContext, bytes: number): string {
  const folder = join(paths.cache, 'checks');
  mkdirSync(folder, { recursive: true });
  checkFreeSpace(folder, bytes, 'The base as a GGUF file for the check');
  return mkdtempSync(join(folder, 'base-'));
}

/** The rows over which a route is averaged. @throws StudioError not_found */
function calibrationSet(context: ServiceContext, run: Run, asked: string | undefined): Dataset {
  const wanted = asked ?? firstDataset(run);
  const found = wanted !== null && datasets.find(context.database, wanted);
  if (found) return found;
  throw new StudioError(
    'not_found',
    wanted === null
      ? `The run "${run.name}" was trained elsewhere: there are no rows of it to average the route over.`
      : asked === undefined
        ? `The dataset "${run.datasetName}" of the run "${run.name}" is gone, and with it the rows to average the route over.`
        : `There is no dataset "${asked}".`,
    'Name a dataset of the library to calibrate with.',
  );
}

/** The dataset whose begin is read for the certificate; null: it was trained elsewhere. */
function firstDataset({ mix, datasetId }: Run): string | null {
  return (mix && snapshotDatasets(mix)[0]) ?? datasetId;
}

/** Lays beside the files which rows they were trained on, and in which form. @returns the names of what was written */
function writeDataContract({ dataContract, datasetName, config }: Run, folder: string): string[] {
  if (!dataContract) return [];
  const name = 'data_contract.json';
  const { sources, ...rest } = dataContract;
  const contract = {
    data: datasetName,
    ...rest,
    // Names of the library stay; its ids say nothing elsewhere.
    sources: sources.map(({ datasetId: _id, ...source }) => source),
    epochs: config.maxSteps === null ? config.epochs : null,
    maxSteps: config.maxSteps,
  };
  writeFileAtomic(join(folder, name), `${JSON.stringify(contract, null, 2)}\n`);
  return [name];
}

/** Writes the card in place of the plain one that lies there. @returns its name */
function writeModelCard(
  context: ServiceContext,
  { run, model, format, folder, options: { embedPivots = false } }: ExportJob,
  { notes = [], cutModules }: Pick<ExportResult, 'notes' | 'cutModules'>,
): string[] {
  const name = 'README.md';
  const all = listEvaluations(context.database, run.project);
  const own = all.filter(({ runId }) => runId === run.id);
  const ofBase = all.filter(
    (e) =>
      e.runId === null &&
      e.subject === 'base' &&
      e.modelId === model.id &&
      own.some((mine) => isSameQuestion(mine, e)),
  );
  const evaluations = [...own, ...ofBase].sort((a, b) => a.benchmark.localeCompare(b.benchmark));
  const base = publicName(model);
  const licence = readLicence(model.folder);
  const { quantization } = model;
  const facts = { run, format, base, licence, evaluations, embedPivots, quantization, notes, cutModules };
  writeFileAtomic(join(folder, name), modelCard(facts));
  return [name];
}

/** Whether two scores are of the same items, asked alike. */
function isSameQuestion(a: Evaluation, b: Evaluation): boolean {
  const keys = ['benchmark', 'version', 'dataHash', 'shots', 'seed', 'n'] as const;
  return keys.every((key) => a[key] === b[key]);
}

/** The base's name for those who get the files: its repository where that is known, never a path of this machine. */
export function publicName({ name, folder, origin }: Model): string {
  return (origin ?? cacheOrigin(folder))?.repository ?? name;
}

/** Read as a stream: weights may be larger than memory. */
async function describeFile(folder: string, name: string): Promise<ExportRecord['files'][number]> {
  const path = join(folder, name);
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return { name, sizeBytes: statSync(path).size, sha256: hash.digest('hex') };
}

/** What callers ask of them. */
export const exportHandlers = (exports: ExportService) =>
  ({
    'exports.list': () => exports.list(),
    'exports.suggest': ({ run, format }) => ({ folder: exports.suggestFolder(run, format) }),
    'exports.create': (input, { signal }) => exports.create(input, signal),
    'exports.compare': (input, { signal }) => exports.compare(input, signal),
    'exports.push': (input, { signal }) => exports.push(input, signal),
  }) satisfies Partial<ProcedureHandlers>;
