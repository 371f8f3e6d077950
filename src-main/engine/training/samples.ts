import type { Sample } from '../../contract/runRecords.ts';
import { StudioError } from '../../contract/errors.ts';
import type { SamplesConfig } from '../../contract/training.ts';
import { createRandom } from '../../statistics/random.ts';
import type { DecoderConfig } from '../../formats/families/decoderConfig.ts';
import { loadTokenizer, type Tokenizer } from '../../formats/model/tokenizer.ts';
import { ContinuedRow } from '../inference/continuedRow.ts';
import { decodeRows, decoderSize } from '../inference/decodeRows.ts';
import type { Decoder } from '../inference/decodingGraph.ts';
import type { DecodingSize } from '../../options/decodingSize.ts';
import type { EngineEvent } from '../messages.ts';
import type { TrainRequest } from '../protocol.ts';

/** Answers a run's prompts by the model as it is in the middle of training: such an answer is a sample. */
export interface Sampler {
  /**
   * Answers all prompts greedily. The KV cache exists only meanwhile; nothing else in the session changes.
   * @param pause awaited now and then; what it throws ends the answers
   */
  answer(pause: () => Promise<void>): Promise<Omit<Sample, 'step'>[]>;
}

/** A run's prompts as tokens, and where their answers end. */
export interface Prompts {
  tokenizer: Tokenizer;
  endIds: readonly number[];
  stop: readonly string[];
  ids: readonly (readonly number[])[];
  maxTokens: number;
}

/**
 * @param asked the prompts through the run's template; absent: as they stand
 * @throws StudioError config_invalid: a prompt that leaves no room for an answer
 */
export function readPrompts(
  { prompts, maxTokens }: SamplesConfig,
  modelFolder: string,
  { contextLength }: Pick<DecoderConfig, 'contextLength'>,
  asked: TrainRequest['samplePrompts'],
): Prompts {
  const tokenizer = loadTokenizer(modelFolder);
  const ids = prompts.map((prompt, i) => {
    const tokens = asked?.ids[i] ?? tokenizer.encode(prompt, { specialTokens: true });
    if (tokens.length === 0 || tokens.length >= contextLength)
      throw new StudioError(
        'config_invalid',
        `The sample prompt "${prompt.slice(0, 40)}" has ${tokens.length} tokens; with a context of ${contextLength} it may have 1 to ${contextLength - 1}.`,
        'Shorten the prompt, or leave it out.',
        { option: ['samples', 'prompts', i] },
      );
    return tokens;
  });
  const endIds = asked && asked.endIds.length > 0 ? asked.endIds : tokenizer.endIds;
  return { tokenizer, ids, maxTokens, endIds, stop: asked?.stop ?? [] };
}

/** How much the decoder of a run's prompts must hold. */
export function samplingSize(
  { ids, maxTokens }: Prompts,
  decoder: Pick<DecoderConfig, 'contextLength' | 'ropes'>,
): DecodingSize {
  return decoderSize(ids, { batch: ids.length, maxTokens }, decoder);
}

/** @param decoder of the training session, of `samplingSize` */
export function createSampler(
  decoder: Decoder,
  { contextLength, ropes }: Pick<DecoderConfig, 'contextLength' | 'ropes'>,
  { tokenizer, ids, maxTokens, endIds, stop }: Prompts,
): Sampler {
  const rules = { tokenizer, endIds: new Set(endIds), stop, maxTokens, contextLength };
  return {
    async answer(pause) {
      // Greedy: nothing is drawn.
      const rows = ids.map((prompt) => new ContinuedRow(prompt, rules, createRandom(0)));
      try {
        await decodeRows(decoder, rows, { temperature: 0, topP: 1, task: 0, ropes, pause });
      } finally {
        decoder.session.run('release', {});
      }
      return rows.map((row, prompt) => {
        const { ids: answer, text, end } = row.result();
        return { prompt, text, tokens: answer.length, end };
      });
    },
  };
}

/** Thrown where a stop of the run ends an answer that nobody waits for any more. */
class Stopped extends Error {}

/**
 * Answers the prompts after a step and emits the answers, once for each step. A stop request ends it without an answer.
 * @param sampler null: the run has no prompts
 */
export function sampling(
  sampler: Sampler | null,
  { emit, stopRequested }: { emit(event: EngineEvent): void; stopRequested(): Promise<unknown> },
): (step: number) => Promise<void> {
  let answered = -1;
  return async (step) => {
    if (!sampler || step === answered) return;
    answered = step;
    try {
      const answers = await sampler.answer(async () => {
        if (await stopRequested()) throw new Stopped();
      });
      for (const answer of answers) emit({ type: 'sample', step, ...answer });
    } catch (error) {
      if (!(error instanceof Stopped)) throw error;
    }
  };
}
