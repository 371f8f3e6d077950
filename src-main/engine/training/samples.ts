import type { Sample } from '../../contract/runRecords.ts';
import { StudioError } from '../../contract/errors.ts';
import type { SamplesConfig } from '../../contract/training.ts';
import { createRandom } from '../../statistics/random.ts';
import type { DecoderConfig } from '../../formats/families/decoderConfig.ts';
import { loadTokenizer, type Tokenizer } from '../../formats/model/tokenizer.ts';
import type { Entry, Session } from '../graph/session.ts';
import { ContinuedRow, decodeRows, prefilledSlots } from '../inference/decodeRows.ts';
import { decodingEntries, type DecodingShape } from '../inference/decodingGraph.ts';
import type { ModelGraph } from '../model/modelGraph.ts';
import type { EngineEvent } from '../process/protocol.ts';

const prefillTokens = 64;

/** Answers to a run's prompts by the model as it is in the middle of training. */
export interface Sampler {
  /** Calls that the training session must have. */
  entries: Record<string, Entry>;
  /**
   * Answers all prompts greedily. The KV cache exists only meanwhile; nothing else in the session changes.
   * @param pause awaited now and then; what it throws ends the sampling
   */
  answer(session: Session, pause: () => Promise<void>): Promise<Omit<Sample, 'step'>[]>;
}

/** A run's prompts as tokens. */
export interface Prompts {
  tokenizer: Tokenizer;
  ids: readonly (readonly number[])[];
  maxTokens: number;
}

/** @throws StudioError config_invalid: a prompt that leaves no room for an answer */
export function readPrompts(
  { prompts, maxTokens }: SamplesConfig,
  modelFolder: string,
  { contextLength }: Pick<DecoderConfig, 'contextLength'>,
): Prompts {
  const tokenizer = loadTokenizer(modelFolder);
  const ids = prompts.map((prompt) => {
    const tokens = tokenizer.encode(prompt, { specialTokens: true });
    if (tokens.length === 0 || tokens.length >= contextLength)
      throw new StudioError(
        'config_invalid',
        `The sample prompt "${prompt.slice(0, 40)}" has ${tokens.length} tokens; with a context of ${contextLength} it may have 1 to ${contextLength - 1}.`,
        'Shorten the prompt, or leave it out.',
      );
    return tokens;
  });
  return { tokenizer, ids, maxTokens };
}

/** Builds the calls for a run's prompts on the model of its training session. */
export function createSampler(model: ModelGraph, { tokenizer, ids, maxTokens }: Prompts): Sampler {
  const { contextLength, eosIds, ropes } = model.config;
  const longest = Math.max(...ids.map((prompt) => prompt.length));
  const shape: DecodingShape = {
    batch: ids.length,
    slots: prefilledSlots(longest, prefillTokens) + Math.min(maxTokens, contextLength - 1),
    prefillTokens,
  };
  const { entries, lengthInputs } = decodingEntries(model, shape);
  const endIds = new Set(eosIds);
  return {
    entries,
    async answer(session, pause) {
      const rows = ids.map(
        (prompt) =>
          new ContinuedRow(prompt, {
            tokenizer,
            endIds,
            stop: [],
            limit: Math.min(maxTokens, contextLength - prompt.length),
            limitedByContext: contextLength - prompt.length < maxTokens,
            // Greedy: nothing is drawn.
            random: createRandom(0),
          }),
      );
      const decoder = { session, ...shape, lengthInputs };
      try {
        await decodeRows(decoder, rows, { temperature: 0, topP: 1, task: 0, ropes, pause });
      } finally {
        session.run('release', {});
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
 * What answers the prompts after a step and tells of it; not twice after the same step. A stop that is asked for
 * meanwhile ends it without an answer.
 * @param sampler null: the run has no prompts
 */
export function sampling(
  sampler: Sampler | null,
  session: Session,
  { emit, stopRequested }: { emit(event: EngineEvent): void; stopRequested(): Promise<unknown> },
): (step: number) => Promise<void> {
  let answered = -1;
  return async (step) => {
    if (!sampler || step === answered) return;
    answered = step;
    try {
      const answers = await sampler.answer(session, async () => {
        if (await stopRequested()) throw new Stopped();
      });
      for (const answer of answers) emit({ type: 'sample', step, ...answer });
    } catch (error) {
      if (!(error instanceof Stopped)) throw error;
    }
  };
}
