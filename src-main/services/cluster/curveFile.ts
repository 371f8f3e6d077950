import { closeSync, openSync, readSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import { z } from 'zod';
import { StudioError } from '../../contract/errors.ts';
import { evalMetricSchema, type EvalMetric, type StepMetric } from '../../contract/runRecords.ts';

/** The longest line that is read, and bytes that are read at once. */
const longestLine = 10_000;
const pieceBytes = 64 * 1024;

const finite = z.number();
const lineSchema = z.discriminatedUnion('event', [
  z.object({
    event: z.literal('step'),
    step: z.number().int().min(1),
    loss: finite.nullable(),
    lr: finite,
    gradNorm: finite.nullable(),
    tokensPerSecond: finite.default(0),
    skipped: z.boolean().default(false),
  }),
  evalMetricSchema.extend({ event: z.literal('eval') }),
]);

export interface ReturnedCurve {
  steps: StepMetric[];
  evals: EvalMetric[];
  /** Steps that changed nothing. */
  skipped: number[];
}

/**
 * Reads curve.jsonl of a run that was trained elsewhere: JSON lines as `train --json` prints them.
 * @param lastStep which it must reach, step by step; what a job did after the state that it kept last is left out
 * @throws StudioError adapter_invalid with the line; not_found
 */
export function readCurve(path: string, lastStep: number): ReturnedCurve {
  const curve: ReturnedCurve = { steps: [], evals: [], skipped: [] };
  let [number, step] = [0, 0];
  const fail = (what: string) =>
    new StudioError(
      'adapter_invalid',
      `Line ${number} of ${path} ${what}.`,
      'Copy the folder once more from where it was trained.',
    );
  for (const text of linesOf(path, () => fail('is too long'))) {
    number++;
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch {
      throw fail('is no JSON');
    }
    const { data: line, error } = lineSchema.safeParse(json);
    if (!line) throw fail(`is no step and no evaluation: ${error.issues[0]?.message}`);
    if (line.event === 'step' && step === lastStep) break;
    if (line.event === 'eval') {
      const { event: _event, ...metric } = line;
      if (metric.step !== step) throw fail(`is an evaluation of step ${metric.step} after step ${step}`);
      curve.evals.push(metric);
      continue;
    }
    if (line.step !== ++step) throw fail(`is step ${line.step} where step ${step} is due`);
    const { loss, lr, gradNorm, tokensPerSecond } = line;
    if (line.skipped) curve.skipped.push(step);
    else if (loss === null || gradNorm === null) throw fail('has no loss');
    else curve.steps.push({ step, loss, lr, gradNorm, tokensPerSecond, memoryBytes: null });
  }
  if (step !== lastStep)
    throw fail(`is the last one, of step ${step}; result.json speaks of ${lastStep} steps`);
  return curve;
}

/** Lines of a file, without empty ones. */
function* linesOf(path: string, tooLong: () => StudioError): Generator<string> {
  const fd = openSync(path, 'r');
  try {
    const piece = Buffer.alloc(pieceBytes);
    const decoder = new StringDecoder('utf8');
    let rest = '';
    for (;;) {
      const bytes = readSync(fd, piece, 0, pieceBytes, null);
      if (bytes === 0) break;
      const lines = (rest + decoder.write(piece.subarray(0, bytes))).split('\n');
      rest = lines.pop()!;
      for (const line of lines) if (line !== '') yield line;
      if (rest.length > longestLine) throw tooLong();
    }
    if (rest !== '') yield rest;
  } finally {
    closeSync(fd);
  }
}
