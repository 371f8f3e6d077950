import { resolve } from 'node:path';
import type { ProcedureOutput, ProcedureParsedInput, ProcedureHandlers } from '../../contract/procedures.ts';
import type { ServiceContext } from '../context.ts';
import type { ModelService } from '../models/models.ts';
import type { RunService } from '../runs/runService.ts';
import { chatRendering, findSubject } from './subjects.ts';
import { withTokenizerThread } from '../tokenizer/tokenizerThread.ts';

/** Uses of a model that are recorded nowhere. */
export interface GenerationService {
  /**
   * Continues a prompt as it stands, or answers it as what a user says (`chat`).
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
      const { reference, run } = findSubject(context, runs, model, input.adapter, input.precision);
      const rendering = input.chat && chatRendering(context, run, input.chat);
      const asked = await withTokenizerThread(signal, async (thread) => {
        if (!rendering) return { ids: (await thread.encode(model, [input.prompt]))[0]!, template: null };
        const turns = [{ role: 'user', content: input.prompt } as const];
        const [prompt] = await thread.prompts(model, [{ turns }], rendering);
        return { ids: prompt!.ids, template: await thread.renderer(model, rendering) };
      });
      const { rows, tokensPerSecond } = await context.engine.start(
        {
          kind: 'generate',
          model: reference,
          prompts: [asked.ids],
          maxTokens: input.maxTokens,
          temperature: input.temperature,
          topP: input.topP,
          seed: input.seed,
          stop: asked.template?.stop ?? [],
          endIds: asked.template?.endIds ?? [],
          batch: 1,
          task: input.task ?? 0,
        },
        { signal },
      ).result;
      const { text, ids } = rows[0]!;
      return { text, tokens: ids, tokensPerSecond, template: asked.template };
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
