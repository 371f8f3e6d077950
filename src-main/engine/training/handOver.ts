import { join } from 'node:path';
import { quantizationOf } from '../../contract/training.ts';
import { checkOptions } from '../../options/checkOptions.ts';
import { checkSchedule, learningRate } from '../../options/schedule.ts';
import { layOutRun, scoredRows } from '../../data/mix/laidOutRun.ts';
import { openRows, type RowSet } from '../../data/mix/rowPlan.ts';
import { StudioError } from '../../contract/errors.ts';
import { writeAdapterFolder } from '../../formats/adapter/peftAdapter.ts';
import type { DecoderConfig } from '../../formats/families/decoderConfig.ts';
import { writeFileAtomic } from '../../formats/files/atomicFile.ts';
import { writeSafetensors, type TensorToWrite } from '../../formats/files/safetensors.ts';
import { checkWeights } from '../../formats/model/decoderWeights.ts';
import { loadTokenizer } from '../../formats/model/tokenizer.ts';
import { WeightFolder } from '../../formats/model/weightFolder.ts';
import { adapterTensors } from '../adapters/storedValues.ts';
import type { JobContext } from '../jobContext.ts';
import { ModelGraph } from '../model/modelGraph.ts';
import { checkTasks } from '../model/taskNumbers.ts';
import type { HandOverRequest, HandOverResult } from '../protocol.ts';
import { prepareAdapter } from './prepareAdapter.ts';

/** Rows are read and written so many at a time. */
const rowsAtOnce = 1024;

/**
 * What a run would do, as files for a trainer elsewhere: nothing of the order of rows or of the schedule is left to be
 * computed there.
 *
 * - `rows.safetensors`: `ids` and `trained` (1: predicted) of all rows in a line, `offsets` [n + 1] of each, `tasks`,
 *   `sources`; `order`: row numbers as they are trained, `steps` [steps + 1]: where in it a step begins; `rates`: the
 *   learning rate of each step; `held_out.*`: the rows that are scored.
 * - `rows.jsonl`: the text of each row, for people.
 * - `start/`: the adapter before the first step; absent for full fine-tuning.
 *
 * @throws StudioError as training does before its first step; cancelled
 */
export async function handOver(
  request: HandOverRequest,
  decoder: DecoderConfig,
  context: JobContext,
): Promise<HandOverResult> {
  const { config } = request;
  const weights = new WeightFolder(request.modelFolder);
  const rows = openRows(request.trainFile);
  const heldOut = request.heldOutFile ? openRows(request.heldOutFile) : null;
  try {
    if (rows.rowCount === 0)
      throw new StudioError('dataset_empty', 'There is no row to train on.', 'Choose a dataset with rows.');
    checkOptions(config, { heldOutRows: heldOut?.rowCount ?? 0 });
    checkWeights(decoder, weights);
    checkTasks(config.adapter, heldOut ? [rows, heldOut] : [rows]);
    const { order } = layOutRun(config, rows, heldOut);
    checkSchedule(config, order.totalSteps);
    const scored = heldOut ? scoredRows(heldOut, config.heldOutRows) : [];
    const steps = Array.from({ length: order.totalSteps }, (_, i) => order.microBatches(i + 1).flat(2));
    writeSafetensors(join(request.outFolder, 'rows.safetensors'), [
      ...rowTensors('', rows, [...Array(rows.rowCount).keys()]),
      ...orderTensors(steps),
      {
        name: 'rates',
        dtype: 'F64',
        shape: [steps.length],
        data: bytesOf(Float64Array.from(steps, (_, i) => learningRate(config, i + 1, steps.length))),
      },
      ...(heldOut ? rowTensors('held_out.', heldOut, scored) : []),
    ]);
    writeTexts(request, rows, heldOut && { rows: heldOut, scored });
    const baseSha256 = request.weightsSha256 ?? weights.contentHash();
    const counted = await writeStart(
      { ...request, weightsSha256: baseSha256 },
      { decoder, weights, context },
    );
    return {
      totalSteps: order.totalSteps,
      rows: rows.rowCount,
      heldOutRows: scored.length,
      baseSha256,
      ...counted,
    };
  } finally {
    weights.close();
    rows.close();
    heldOut?.close();
  }
}

/** @param numbers of the rows that are written, in their order */
function rowTensors(prefix: string, rows: RowSet, numbers: readonly number[]): TensorToWrite[] {
  const offsets = new BigInt64Array(numbers.length + 1);
  numbers.forEach((row, i) => (offsets[i + 1] = offsets[i]! + BigInt(rows.length(row))));
  const total = Number(offsets.at(-1));
  const parts = function* (of: 'ids' | 'trained') {
    for (const row of numbers) yield bytesOf(rows.row(row)[of]);
  };
  const column = (name: string, valueOf: (row: number) => number): TensorToWrite => ({
    name: `${prefix}${name}`,
    dtype: 'I32',
    shape: [numbers.length],
    data: bytesOf(Int32Array.from(numbers, valueOf)),
  });
  return [
    { name: `${prefix}ids`, dtype: 'I32', shape: [total], data: () => parts('ids') },
    { name: `${prefix}trained`, dtype: 'U8', shape: [total], data: () => parts('trained') },
    { name: `${prefix}offsets`, dtype: 'I64', shape: [offsets.length], data: bytesOf(offsets) },
    column('tasks', (row) => rows.tasks[row] ?? 0),
    column('sources', (row) => rows.sourceOf(row)),
  ];
}

/** @param steps row numbers of each; rows that share a pack stand alone: they do not see each other there either */
function orderTensors(steps: readonly (readonly number[])[]): TensorToWrite[] {
  const begins = new BigInt64Array(steps.length + 1);
  steps.forEach((step, i) => (begins[i + 1] = begins[i]! + BigInt(step.length)));
  const order = Int32Array.from(steps.flat());
  return [
    { name: 'order', dtype: 'I32', shape: [order.length], data: bytesOf(order) },
    { name: 'steps', dtype: 'I64', shape: [begins.length], data: bytesOf(begins) },
  ];
}

/** Each row as a line of JSON: its number, its source, its text, and what of it is trained. */
function writeTexts(
  { modelFolder, outFolder }: HandOverRequest,
  rows: RowSet,
  heldOut: { rows: RowSet; scored: readonly number[] } | null,
): void {
  const tokenizer = loadTokenizer(modelFolder);
  const decode = (ids: readonly number[]) => tokenizer.decode(ids, { specialTokens: true });
  const lineOf = (set: RowSet, row: number, number: number, isHeldOut: boolean): string => {
    const { ids, trained } = set.row(row);
    const answer = [...ids].filter((_, i) => trained[i]);
    const source = set.sources[set.sourceOf(row)];
    const line = { row: number, heldOut: isHeldOut, source, text: decode([...ids]), trained: decode(answer) };
    return JSON.stringify(line);
  };
  const lines = function* () {
    for (let row = 0; row < rows.rowCount; row++) yield lineOf(rows, row, row, false);
    for (const [i, row] of (heldOut?.scored ?? []).entries()) yield lineOf(heldOut!.rows, row, i, true);
  };
  const pieces = function* () {
    let piece: string[] = [];
    for (const line of lines()) {
      piece.push(`${line}\n`);
      if (piece.length < rowsAtOnce) continue;
      yield Buffer.from(piece.join(''));
      piece = [];
    }
    yield Buffer.from(piece.join(''));
  };
  writeFileAtomic(join(outFolder, 'rows.jsonl'), pieces());
}

/** Writes the adapter as it is before the first step. @throws StudioError cancelled */
async function writeStart(
  request: HandOverRequest & { weightsSha256: string },
  { decoder, weights, context }: { decoder: DecoderConfig; weights: WeightFolder; context: JobContext },
): Promise<Pick<HandOverResult, 'trainable' | 'frozenExtra'>> {
  const { config } = request;
  const model = new ModelGraph({
    config: decoder,
    source: weights,
    precision: config.precision,
    adapter: config.adapter,
    fusion: false,
    quantization: quantizationOf(config),
  });
  const counted = { trainable: model.trainableCount(), frozenExtra: model.frozenExtraCount() };
  // Weights are counted as a graph asks for them, and none does here.
  if (model.trainsBase) return { trainable: null, frozenExtra: 0 };
  const values = new Map<unknown, Uint8Array>();
  const isReady = await prepareAdapter(model, weights, {
    tf: context.tf,
    seed: config.seed,
    cacheFolder: request.cacheFolder,
    assign: (variable, bytes) => values.set(variable, bytes),
    emit: context.emit,
    isStopped: async () => (await context.stopRequested()) !== null,
  });
  if (!isReady) throw new StudioError('cancelled', 'The job was cancelled.', 'Start it again.');
  writeAdapterFolder(
    join(request.outFolder, 'start'),
    config.adapter,
    { name: request.baseName, sha256: request.weightsSha256, quantization: quantizationOf(config) },
    adapterTensors(model.adapterParameters, (variable) => values.get(variable)!),
  );
  return counted;
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
}
