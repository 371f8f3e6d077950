import type { Dataset, Model } from '../../contract/entities.ts';
import type { Elsewhere, ExportRecord } from '../../contract/results.ts';
import { StudioError } from '../../contract/errors.ts';
import { readRows } from '../../data/readRows.ts';
import { exampleOf } from '../../data/rowExample.ts';
import type { ExportResult, ModelReference } from '../../engine/protocol.ts';
import { changedParts, createIdentityReader, identityOf } from '../../formats/model/identity.ts';
import { keptVariance } from '../../options/exits.ts';
import { createRandom } from '../../statistics/random.ts';
import type { ServiceContext } from '../context.ts';
import type { ReportPart } from '../progress.ts';
import { compareAnswers, type GgufFiles } from './comparedAnswers.ts';
import { engineLogits, greatestDifference, greatestSize, written } from './engineLogits.ts';
import type { Calibration } from './frozenRoute.ts';
import { otherLogits } from './otherSoftware.ts';
import { withTokenizerThread } from '../tokenizer/tokenizerThread.ts';

export type Certificate = ExportRecord['certificate'];

const certificateTokens = 64;

/** Largest logit difference at which exported files count as equal: the same numbers through the same graph. */
const exactTolerance = 1e-5;

/** The same for an adapter that was merged in f32: the update is rounded once more, into the weight. */
const mergedTolerance = 1e-3;

/** Share of the greatest logit by which two programs may differ in f32: they add in another order. */
const elsewhereShare = 1e-4;

/**
 * Share of the greatest logit by which rounding every weight may move a logit: 8 units in the last place of the type
 * (2^-8 for bf16, 2^-11 for f16). Each of some ten products in a row adds a random error of about one such unit; a
 * weight at a wrong place, on the other hand, moves logits by as much as they are large. Q8_0 rounds to 254th parts of
 * the greatest of 32 weights, which is some three times the usual one: two units of bf16. Q4_K_M has steps of a 15th of
 * their range; rows of its weights are compared with what they should be, too.
 */
const roundingTolerances: Readonly<Record<string, number>> = {
  BF16: 8 * 2 ** -8,
  F16: 8 * 2 ** -11,
  Q8_0: 16 * 2 ** -8,
  Q4_K_M: 96 * 2 ** -8,
};

/**
 * Compares what a run computes with what its exported files compute: logits at every token of a text, and the token
 * that is likeliest there. What the export job found by PEFT's rules and in plain arithmetic goes in as it is.
 */
export async function certify(
  context: ServiceContext,
  subject: {
    model: Model;
    /** Null where it is gone. */
    dataset: Dataset | null;
    trained: ModelReference;
    exported: ModelReference;
    /** What the files are to compute where that is not what the run computes: its frozen route. */
    meant?: ModelReference | null;
    /** `exported` is laid out by the studio: the files that go are others. */
    isReadBack?: boolean;
    result: ExportResult;
    /** Where a route was frozen: what it was averaged over. */
    calibration?: Calibration | null;
    /** Other software is to compute from the files, too: transformers and PEFT, or llama.cpp from these. */
    checkElsewhere?: boolean;
    gguf?: GgufFiles | null;
  },
  options: { signal: AbortSignal; report: ReportPart },
): Promise<Certificate> {
  const { result, model } = subject;
  const { prompt, ids, textTokens, prompts } = await probeTokens(context, subject, options.signal);
  const computed = (model: ModelReference, part: string) =>
    engineLogits(context, { model, ids, part }, options);
  const trained = await computed(subject.trained, 'Computing with the run, part 2 of 3');
  const exported = await computed(subject.exported, 'Computing with the files, part 3 of 3');
  const maxLogitDifference = greatestDifference(trained, exported);
  const greatest = greatestSize(trained);
  const rounding = roundingTolerances[result.dtype];
  const isMerged = subject.trained.adapterFolder !== null && subject.exported.adapterFolder === null;
  const exact = isMerged ? mergedTolerance : exactTolerance;
  const tolerance = rounding === undefined ? exact : rounding * greatest;
  const width = trained.length / ids.length;
  const kl = meanDivergence(trained, exported, width);
  const frozen = subject.calibration && {
    ...(await subject.calibration.compare(subject.exported)),
    kl,
    ...(result.cutModules && {
      keptVariance: keptVariance(result.cutModules),
      cutModules: result.cutModules,
    }),
  };
  const otherFiles =
    subject.exported.adapterFolder === null && !subject.isReadBack
      ? differingFiles(model, subject.exported.folder)
      : null;
  const { gguf } = subject;
  const elsewhere = !subject.checkElsewhere
    ? null
    : gguf
      ? await compareAnswers(
          context,
          { model, exported: subject.exported, files: gguf, prompts, roundingShare: rounding ?? 0 },
          options,
        )
      : await compareElsewhere(subject, { ids, exported }, options);
  const isSound =
    (result.peft?.isEqual ?? true) &&
    (result.merged?.isEqual ?? true) &&
    (otherFiles === null || otherFiles.length === 0) &&
    (elsewhere?.isEqual ?? true);
  const meant = subject.meant && (await computed(subject.meant, 'Computing with the frozen route'));
  // A frozen route computes something else by design: its files are right where they are the LoRA that was meant.
  const isMeant = meant
    ? greatestDifference(meant, exported) <= tolerance
    : frozen
      ? Number.isFinite(maxLogitDifference)
      : maxLogitDifference <= tolerance;
  return {
    equal: isMeant && isSound,
    maxLogitDifference: written(maxLogitDifference),
    tolerance,
    tokens: ids.length,
    dtype: result.dtype,
    prompt,
    textTokens,
    sameChoices: sameChoices(trained, exported, ids.length),
    ...(Number.isFinite(kl) && { kl }),
    peft: result.peft,
    merged: result.merged,
    ...(otherFiles && { otherFiles }),
    ...(elsewhere && { elsewhere }),
    contradictions: result.contradictions,
    ...(result.notes && { notes: result.notes }),
    ...(frozen && { frozen }),
  };
}

/** At how many tokens the likeliest next one is the same. */
function sameChoices(one: Float32Array, other: Float32Array, tokens: number): number {
  const width = one.length / tokens;
  let same = 0;
  for (let row = 0; row < tokens; row++)
    if (likeliest(one, row, width) === likeliest(other, row, width)) same++;
  return same;
}

/** What decides which tokens a text becomes and where an answer ends, as far as it is not the base's. */
function differingFiles(model: Model, folder: string): string[] {
  const base = identityOf(model);
  const own = createIdentityReader().read(folder, base.weights);
  return changedParts(base, own, ['tokenizer', 'template', 'generation']);
}

/** The exported files in transformers and PEFT against the studio's reader of the same files. */
async function compareElsewhere(
  { exported: reference }: { exported: ModelReference },
  { ids, exported }: { ids: readonly number[]; exported: Float32Array },
  { signal, report }: { signal: AbortSignal; report: ReportPart },
): Promise<Elsewhere> {
  report('Computing with transformers and PEFT');
  const { logits: theirs, software } = await otherLogits(reference, ids, signal);
  const difference = greatestDifference(exported, theirs);
  const greatest = greatestSize(exported);
  const tolerance = Math.max(mergedTolerance, elsewhereShare * greatest);
  return {
    software,
    isEqual: difference <= tolerance,
    maxLogitDifference: written(difference),
    tolerance,
    sameChoices: theirs.length === exported.length ? sameChoices(exported, theirs, ids.length) : 0,
  };
}

/** So many rows' questions are answered where other software answers them, too. */
const askedRows = 4;

interface Probe {
  prompt: string;
  ids: number[];
  textTokens: number;
  /** Tokens of the first rows' questions; where there are none, begins of the probe. */
  prompts: number[][];
}

/** The tokens of the dataset's first row, and random ones behind them, which reach weights that no text does. */
async function probeTokens(
  context: ServiceContext,
  { model, dataset }: { model: Model; dataset: Dataset | null },
  signal: AbortSignal,
): Promise<Probe> {
  const count = Math.min(certificateTokens, model.contextLength);
  const texts: string[] = [];
  let prompt = '';
  let [ids, prompts]: [number[], number[][]] = [[], []];
  if (dataset)
    for await (const { row } of readRows(context.paths.datasets, dataset, { limit: askedRows })) {
      const { prompt: asked, answer } = exampleOf(row, dataset.format);
      if (texts.length === 0) prompt = `${asked}${answer}`.slice(0, 200);
      texts.push(asked.slice(0, 200));
    }
  try {
    const encoded = await withTokenizerThread(signal, (thread) =>
      thread.encode(model, prompt === '' ? [] : [prompt, ...texts]),
    );
    const [first = [], ...others] = encoded.map((row) => row.filter((id) => id < model.vocabularySize));
    ids = first.slice(0, Math.floor((count * 3) / 4));
    prompts = others.map((row) => row.slice(0, count)).filter(({ length }) => length > 0);
  } catch (error) {
    // The files are there, and random tokens tell as much: a tokenizer that fails must not undo the export.
    if (signal.aborted || !(error instanceof StudioError)) throw error;
    prompt = '';
  }
  const textTokens = ids.length;
  const random = createRandom(1);
  while (ids.length < count) ids.push(random.integer(model.vocabularySize));
  if (prompts.length === 0) prompts = [4, 8, 16].map((length) => ids.slice(0, length));
  return { prompt, ids, textTokens, prompts };
}

/** Mean over rows of KL(p || q) of the softmax of logits, nats. */
export function meanDivergence(p: Float32Array, q: Float32Array, width: number): number {
  const rows = p.length / width;
  let total = 0;
  for (let row = 0; row < rows; row++) {
    const [a, b] = [p, q].map((logits) => logProbabilities(logits.subarray(row * width, (row + 1) * width)));
    for (let i = 0; i < width; i++) total += Math.exp(a![i]!) * (a![i]! - b![i]!);
  }
  // Rounding may leave less than nothing of two equal distributions.
  return Math.max(0, total / rows);
}

function logProbabilities(logits: Float32Array): Float64Array {
  let most = -Infinity;
  for (const value of logits) if (value > most) most = value;
  let sum = 0;
  for (const value of logits) sum += Math.exp(value - most);
  return Float64Array.from(logits, (value) => value - most - Math.log(sum));
}

function likeliest(values: Float32Array, row: number, width: number): number {
  let best = row * width;
  for (let i = best; i < (row + 1) * width; i++) if (values[i]! > values[best]!) best = i;
  return best;
}
