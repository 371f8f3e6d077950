import { resolve } from 'node:path';
import type { ProcedureOutput, ProcedureParsedInput, ProcedureHandlers } from '../../contract/procedures.ts';
import type { ServiceContext } from '../context.ts';
import type { ModelService } from '../models/models.ts';
import type { RunService } from '../runs/runs.ts';
import { findSubject } from './subjects.ts';
import { withTokenizerThread } from '../tokenizer/tokenizerThread.ts';

/** Uses of a model that are recorded nowhere. */
export interface GenerationService {
  /**
   * Continues a prompt as it stands: no template is put around it.
   * @param signal aborting ends it at once
   * @throws StudioError not_found, config_invalid where the adapter belongs to another model, no_checkpoint
   */
  text(
    input: ProcedureParsedInput<'generate.text'>,
    signal: AbortSignal,
  ): Promise<ProcedureOutput<'generate.text'>>;
  /**
   * Writes the logits of given ids into a safetensors file, for checks against other software.
   * @throws StudioError as `text`
   */
  logits(
    input: ProcedureParsedInput<'generate.logits'>,
    signal: AbortSignal,
  ): Promise<ProcedureOutput<'generate.logits'>>;
}

export function createGenerationService(
  context: ServiceContext,
  models: ModelService,
  runs: RunService,
): GenerationService {
  return {
    async text(input, signal) {
      const model = await models.getOrAdd(input.model);
      const { reference } = findSubject(context, runs, model, input.adapter, input.precision);
      const prompts = await withTokenizerThread(signal, (thread) => thread.encode(model, [input.prompt]));
      const { rows, tokensPerSecond } = await context.engine.start(
        {
          kind: 'generate',
          model: reference,
          prompts,
          maxTokens: input.maxTokens,
          temperature: input.temperature,
          topP: input.topP,
          seed: input.seed,
          stop: [],
          endIds: [],
          batch: 1,
          task: input.task ?? 0,
        },
        { signal },
      ).result;
      return { text: rows[0]!.text, tokens: rows[0]!.ids, tokensPerSecond };
    },
    async logits(input, signal) {
      const model = await models.getOrAdd(input.model);
      const { reference } = findSubject(context, runs, model, input.adapter, input.precision);
      const file = resolve(input.out);
      const result = await context.engine.start(
        { kind: 'logits', model: reference, ids: input.ids, task: input.task ?? 0, outFile: file },
        { signal },
      ).result;
      return { file, ...result };
    },
  };
}

/** What callers ask of them. */
export const generationHandlers = (generation: GenerationService) =>
  ({
    'generate.text': (input, { signal }) => generation.text(input, signal),
    'generate.logits': (input, { signal }) => generation.logits(input, signal),
  }) satisfies Partial<ProcedureHandlers>;
