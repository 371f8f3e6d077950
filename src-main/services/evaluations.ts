import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Comparison, Evaluation, EvaluationItem } from '../contract/entities.ts';
import type { ListSlice, SliceRequest } from '../contract/listSlices.ts';
import { StudioError } from '../contract/errors.ts';
import type { ProcedureParsedInput } from '../contract/procedures.ts';
import { detectFormat, toExample } from '../data/formats.ts';
import { readExamples } from '../data/importDataset.ts';
import { readRawRows } from '../data/rows.ts';
import { splitRows } from '../data/split.ts';
import { tokeniseExamples } from '../data/tokenise.ts';
import type { EngineEvent } from '../engine/process/protocol.ts';
import { compareSubjects } from '../evaluation/compare.ts';
import {
  fewShotPrefix,
  gradeGsm8k,
  gsm8kItem,
  gsm8kStop,
  gsm8kVersion,
  type Gsm8kItem,
} from '../evaluation/gsm8k.ts';
import { bootstrapInterval, wilsonInterval } from '../evaluation/statistics.ts';
import type { Example } from '../contract/entities.ts';
import { loadModelTokenizer } from '../formats/tokenizer.ts';
import { writeTokenFile } from '../formats/tokenFile.ts';
import {
  evaluationItems,
  findEvaluation,
  insertEvaluation,
  listEvaluations,
  sliceEvaluations,
} from '../store/results.ts';
import { ensureProject } from '../store/projects.ts';
import { missing, newId, type ServiceContext } from './context.ts';
import type { DatasetService } from './datasets.ts';
import type { ModelService } from './models.ts';
import type { RunService } from './runs.ts';
import { findSubject, type Subject } from './subjects.ts';

type Settings = Omit<ProcedureParsedInput<'evaluations.start'>, 'model' | 'adapter'>;

export interface EvaluationService {
  /** Newest first. */
  list(): Evaluation[];
  /** Some of them. */
  slice(request: SliceRequest): ListSlice<Evaluation>;
  items(reference: string): EvaluationItem[];
  /** Scores a subject; an evaluation with the same subject, data and settings is returned as it is. */
  start(input: ProcedureParsedInput<'evaluations.start'>, signal: AbortSignal): Promise<Evaluation>;
  compare(
    input: ProcedureParsedInput<'evaluations.compare'>,
    signal: AbortSignal,
  ): Promise<{ evaluations: Evaluation[]; comparisons: Comparison[] }>;
}

const perplexityVersion = 'answer-tokens-1';
/** Rows decoded or scored together. */
const batch = 16;

/** What a benchmark made of a subject. */
interface Outcome {
  items: EvaluationItem[];
  score: number;
  interval: [number, number];
}

export function createEvaluationService(
  context: ServiceContext,
  models: ModelService,
  datasets: DatasetService,
  runs: RunService,
): EvaluationService {
  const { database, emit } = context;

  async function evaluate(subject: Subject, settings: Settings, signal: AbortSignal): Promise<Evaluation> {
    // The one that is open when it begins: another may be opened while it works.
    const { project } = context;
    const isPerplexity = settings.benchmark === 'perplexity';
    const data = isPerplexity
      ? await perplexityData(subject, settings.path)
      : await fileData(requirePath(settings));
    const version = isPerplexity ? perplexityVersion : gsm8kVersion;
    const { limit, shots, maxTokens, seed } = settings;
    const decisive = [
      ...(isPerplexity ? [limit] : [limit, shots, maxTokens, seed]),
      ...(settings.task === undefined ? [] : [`task ${settings.task}`]),
    ];
    const key = createHash('sha256')
      .update(JSON.stringify([settings.benchmark, version, subject.stateHash, data.hash, decisive]))
      .digest('hex');
    const known = findEvaluation(database, project, key);
    if (known) return known;

    const task = `evaluation ${subject.name} ${settings.benchmark}`;
    const onEvent = (event: EngineEvent) => {
      if (event.type === 'progress') emit({ ...event, task });
    };
    const run = isPerplexity ? perplexity : gsm8k;
    const outcome = await run(subject, data, settings, { signal, onEvent });
    if (!Number.isFinite(outcome.score))
      throw new StudioError(
        'loss_not_finite',
        `The ${settings.benchmark} of ${subject.name} is ${outcome.score}: its losses are not finite.`,
        'Train it again with a lower learning rate, or evaluate an earlier checkpoint.',
      );
    const evaluation: Evaluation = {
      id: newId(),
      benchmark: settings.benchmark,
      version,
      project,
      modelId: subject.model.id,
      modelName: subject.model.name,
      runId: subject.run?.id ?? null,
      subject: subject.name,
      dataPath: data.path,
      dataHash: data.hash,
      shots: isPerplexity ? 0 : shots,
      seed,
      precision: settings.precision,
      n: outcome.items.length,
      score: outcome.score,
      metric: isPerplexity ? 'perplexity' : 'accuracy',
      interval: outcome.interval,
      createdAt: new Date().toISOString(),
    };
    ensureProject(context.writable(), project);
    insertEvaluation(context.writable(), evaluation, key, outcome.items);
    emit({ type: 'evaluation', evaluation });
    return evaluation;
  }

  /** A file, or the held-out rows of the subject's run. */
  async function perplexityData(subject: Subject, path: string | null): Promise<EvaluationData> {
    if (path !== null) return fileData(path);
    if (!subject.run)
      throw new StudioError(
        'usage',
        'Perplexity of the base model needs data.',
        'Give a dataset file with --path, or a run with --adapter, whose held-out rows are then used.',
      );
    return heldOutData(subject.run.datasetId, subject.run.config);
  }

  function heldOutData(datasetId: string, config: { heldOutFraction: number; seed: number }): EvaluationData {
    const dataset = datasets.get(datasetId);
    const { heldOut } = splitRows(dataset.rows, config.heldOutFraction, config.seed);
    if (heldOut.length === 0)
      throw new StudioError(
        'usage',
        'The run held no rows out.',
        'Give a dataset file with --path, or train with a held-out fraction above 0.',
      );
    const wanted = new Set(heldOut);
    const hash = createHash('sha256')
      .update(JSON.stringify([dataset.contentHash, heldOut]))
      .digest('hex');
    return {
      path: `${dataset.name}, held-out rows (${heldOut.length} of ${dataset.rows}, seed ${config.seed})`,
      hash,
      async *examples() {
        let row = 0;
        for await (const example of readExamples(datasets.file(dataset)))
          if (wanted.has(row++)) yield example;
      },
      file: null,
    };
  }

  async function perplexity(
    subject: Subject,
    data: EvaluationData,
    settings: Settings,
    options: JobOptions,
  ): Promise<Outcome> {
    const examples: Example[] = [];
    for await (const example of data.examples()) {
      examples.push(settings.task === undefined ? example : { ...example, task: settings.task });
      if (examples.length === settings.limit) break;
    }
    const tokenizer = loadModelTokenizer(subject.model.folder);
    const { rows } = await tokeniseExamples(tokenizer, examples, subject.model.contextLength);
    const tokenFile = join(context.paths.cache, 'tokens', `${newId()}.score`);
    writeTokenFile(tokenFile, rows);
    const { rows: scored } = await context.engine.start(
      { kind: 'score', model: subject.reference, tokenFile, batch },
      options,
    ).result;
    const items = scored.map(({ lossSum, tokens }, index): EvaluationItem => ({
      index,
      correct: null,
      loss: lossSum / tokens,
      tokens,
      output: null,
      answer: null,
      target: null,
    }));
    const overall = (indices: Iterable<number>) => {
      let [loss, tokens] = [0, 0];
      for (const i of indices) {
        loss += scored[i]!.lossSum;
        tokens += scored[i]!.tokens;
      }
      return Math.exp(loss / tokens);
    };
    return {
      items,
      score: overall(scored.keys()),
      interval: bootstrapInterval(scored.length, overall, { seed: settings.seed }),
    };
  }

  async function gsm8k(
    subject: Subject,
    data: EvaluationData,
    settings: Settings,
    options: JobOptions,
  ): Promise<Outcome> {
    const items: Gsm8kItem[] = [];
    for await (const row of readRawRows(data.file!)) {
      items.push(gsm8kItem(row, items.length));
      if (items.length === settings.limit) break;
    }
    const prefix = settings.shots > 0 ? await shotsFor(data.file!, settings) : '';
    const tokenizer = loadModelTokenizer(subject.model.folder);
    const room = subject.model.contextLength - 1;
    const prompts = items.map(({ prompt }) =>
      // lm-evaluation-harness cuts prompts from the left to leave room for the answer.
      tokenizer.encode(prefix + prompt, { specialTokens: true }).slice(-Math.max(1, room - 16)),
    );
    const { rows } = await context.engine.start(
      {
        kind: 'generate',
        model: subject.reference,
        prompts,
        maxTokens: settings.maxTokens,
        temperature: 0,
        topP: 1,
        seed: settings.seed,
        stop: gsm8kStop,
        endIds: [],
        batch,
        task: settings.task ?? 0,
      },
      options,
    ).result;
    const graded = rows.map((row, i): EvaluationItem => {
      const grade = gradeGsm8k(row.text, items[i]!.solution);
      return { index: i, ...grade, loss: null, tokens: row.ids.length, output: row.text };
    });
    const right = graded.filter((item) => item.correct).length;
    return { items: graded, score: right / graded.length, interval: wilsonInterval(right, graded.length) };
  }

  return {
    list: () => listEvaluations(database, context.project),
    slice: (request) => sliceEvaluations(database, context.project, request),
    items(reference) {
      const known = listEvaluations(database, context.project);
      if (!known.some(({ id }) => id === reference))
        throw missing(
          'evaluation',
          reference,
          known.map(({ id }) => id),
        );
      return evaluationItems(database, reference);
    },
    async start({ model, adapter, ...settings }, signal) {
      const subject = findSubject(context, runs, await models.getOrAdd(model), adapter, settings.precision);
      return evaluate(subject, settings, signal);
    },
    async compare({ runs: names, ...settings }, signal) {
      const chosen = names.map((name) => runs.get(name));
      const [first] = chosen;
      const data = (run: (typeof chosen)[number]) =>
        `${run.datasetId} ${run.config.seed} ${run.config.heldOutFraction}`;
      if (settings.path === null && chosen.some((run) => data(run) !== data(first!)))
        throw new StudioError(
          'usage',
          'These runs held different rows out: they cannot be compared on them.',
          'Give one data file for all with --path.',
        );
      const evaluations: Evaluation[] = [];
      for (const run of chosen) {
        const precision = run.config.precision;
        const subject = findSubject(context, runs, models.get(run.modelId), run.name, precision);
        evaluations.push(await evaluate(subject, { ...settings, seed: 0, precision }, signal));
      }
      const graded = evaluations.map((evaluation, i) => ({
        name: evaluation.subject,
        seed: chosen[i]!.config.seed,
        dataHash: evaluation.dataHash,
        items: evaluationItems(database, evaluation.id),
      }));
      const comparisons = compareSubjects(settings.benchmark, basename(evaluations[0]!.dataPath), graded);
      return { evaluations, comparisons };
    },
  };
}

interface JobOptions {
  signal: AbortSignal;
  onEvent(event: EngineEvent): void;
}

/** What a subject is scored on. */
interface EvaluationData {
  /** A path, or words that say where the rows come from. */
  path: string;
  hash: string;
  examples(): AsyncIterable<Example>;
  /** Null where the rows are no file of their own. */
  file: string | null;
}

function requirePath(settings: Settings): string {
  if (settings.path !== null) return settings.path;
  throw new StudioError(
    'usage',
    `${settings.benchmark} needs its data file.`,
    'Give it with --path, for example --path gsm8k/test.jsonl.',
  );
}

async function fileData(given: string): Promise<EvaluationData> {
  const path = resolve(given);
  if (!existsSync(path))
    throw new StudioError('not_found', `There is no file ${path}.`, 'Check the path of the data file.');
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return {
    path,
    hash: hash.digest('hex'),
    file: path,
    async *examples() {
      for await (const row of readRawRows(path)) {
        const format = detectFormat(row.value);
        if (!format)
          throw new StudioError(
            'dataset_invalid',
            `Row ${row.number} of ${basename(path)} fits no known format.`,
            'Give a file that the studio can import as a dataset.',
          );
        yield toExample(path, row, format);
      }
    },
  };
}

/** Few-shot examples come from train.jsonl beside the test file. */
async function shotsFor(testFile: string, settings: Settings): Promise<string> {
  const trainFile = join(testFile, '..', 'train.jsonl');
  if (!existsSync(trainFile))
    throw new StudioError(
      'not_found',
      `${settings.shots} shots need solved examples, and there is no ${trainFile}.`,
      'Put train.jsonl beside the test file, or use --shots 0.',
    );
  const pool: Gsm8kItem[] = [];
  for await (const row of readRawRows(trainFile)) pool.push(gsm8kItem(row, pool.length));
  return fewShotPrefix(pool, settings.shots, settings.seed);
}
