import type { Model } from '../../contract/entities.ts';
import type { Elsewhere } from '../../contract/results.ts';
import type { ModelReference } from '../../engine/protocol.ts';
import { greater } from '../../statistics/greatest.ts';
import type { ServiceContext } from '../context.ts';
import type { ReportPart } from '../progress.ts';
import { withTokenizerThread } from '../tokenizer/tokenizerThread.ts';
import { engineLogits, greatestSize, written } from './engineLogits.ts';
import { upToEnd } from './llamaServer.ts';
import { llamaAnswers } from './otherSoftware.ts';

/** Most tokens of an answer. */
const answerTokens = 24;

/**
 * Share of the greatest logit below which two likeliest tokens count as equally likely: f32 sums in another order. What
 * llama.cpp multiplies with weights of fewer bits it rounds to as few.
 */
const exactShare = 1e-4;

/** The files that go, as llama.cpp reads them. */
export interface GgufFiles {
  model: string;
  lora: string | null;
}

/**
 * The likeliest tokens after some prompts, by llama.cpp from the files and by the studio from its reader of the same
 * files. Where an answer parts from ours at a token that is as likely as ours within rounding, both are right.
 * @throws StudioError as `llamaAnswers` does
 */
export async function compareAnswers(
  context: ServiceContext,
  subject: {
    model: Model;
    exported: ModelReference;
    files: GgufFiles;
    prompts: readonly (readonly number[])[];
    /** Share of the greatest logit by which rounding the weights may move a logit. */
    roundingShare: number;
  },
  options: { signal: AbortSignal; report: ReportPart },
): Promise<Elsewhere> {
  const { model, exported, files, roundingShare } = subject;
  const room = Math.max(1, model.contextLength - answerTokens);
  const prompts = subject.prompts.map((prompt) => prompt.slice(0, room));
  const { signal, report } = options;
  const { endIds } = await withTokenizerThread(signal, (thread) => thread.facts(model));
  report('Answering prompts');
  const { rows } = await context.engine.start(
    {
      kind: 'generate',
      model: exported,
      prompts,
      maxTokens: answerTokens,
      temperature: 0,
      topP: 1,
      seed: 0,
      stop: [],
      // No token has this id: the engine leaves the end out, which is compared, too.
      endIds: [model.vocabularySize],
      batch: prompts.length,
    },
    { signal },
  ).result;
  report('Answering prompts with llama.cpp');
  const longest = prompts.reduce((most, { length }) => Math.max(most, length), 0);
  const { software, answers } = await llamaAnswers(
    { ...files, prompts, maxTokens: answerTokens, endIds, context: longest + answerTokens + 8 },
    signal,
  );
  let [compared, same, equal, greatest, tolerance] = [0, 0, 0, 0, 0];
  for (const [i, { ids }] of rows.entries()) {
    const ours = upToEnd(ids, endIds);
    const theirs = answers[i] ?? [];
    const parting = partingOf(ours, theirs);
    compared += ours.length;
    same += parting ?? ours.length;
    if (parting === null) {
      equal++;
      continue;
    }
    const read = [...prompts[i]!, ...ours.slice(0, parting)];
    const logits = await engineLogits(
      context,
      { model: exported, ids: read, part: 'Computing where answers part' },
      options,
    );
    const last = logits.subarray((logits.length / read.length) * (read.length - 1));
    const gap = last.reduce((a, b) => Math.max(a, b), -Infinity) - (last[theirs[parting]!] ?? -Infinity);
    greatest = greater(greatest, gap);
    tolerance = Math.max(tolerance, Math.max(exactShare, roundingShare) * greatestSize(last));
  }
  return {
    software,
    isEqual: answers.length === rows.length && compared > 0 && greatest <= tolerance,
    maxLogitDifference: written(greatest),
    tolerance,
    sameChoices: same,
    answers: { prompts: rows.length, equal, tokens: compared },
  };
}

/** Where one of two answers has a token that the other has not, be it because one has ended; null: nowhere. */
export function partingOf(ours: readonly number[], theirs: readonly number[]): number | null {
  const longest = Math.max(ours.length, theirs.length);
  for (let i = 0; i < longest; i++) if (ours[i] !== theirs[i]) return i;
  return null;
}
