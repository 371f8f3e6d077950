import type { Preview } from '../../contract/datasets/previews.ts';
import type { ProcedureHandlers, ProcedureOutput, ProcedureParsedInput } from '../../contract/procedures.ts';
import type { Row } from '../../contract/rows.ts';
import { templateSchema } from '../../contract/templates.ts';
import { renderingOf } from '../../data/rendering/tokenizeRow.ts';
import { findRun } from '../../store/runs.ts';
import { missing, type ServiceContext } from '../context.ts';
import type { DatasetService } from '../data/datasetService.ts';
import { mixLeaves } from '../mixes/mixTree.ts';
import { sourceOfRun } from '../mixes/trainingSources.ts';
import type { ModelService } from '../models/models.ts';
import { promptTemplate } from '../tokenizer/tokenizedRows.ts';
import { createTokenizerThread } from '../tokenizer/tokenizerThread.ts';

/** What a model will see of a dataset, before anything is trained. */
export interface PreviewService {
  /** @throws StudioError not_found; model_invalid, config_invalid where the template cannot be used */
  rows(input: ProcedureParsedInput<'datasets.preview'>): Promise<Preview>;
  /** Tries a template of one's own. @throws StudioError not_found; model_invalid */
  check(input: ProcedureParsedInput<'templates.check'>): Promise<ProcedureOutput<'templates.check'>>;
  /** What a model's own template can do. @throws StudioError not_found */
  ofModel(model: string): Promise<ProcedureOutput<'templates.ofModel'>>;
  /** What a run asks its sample prompts through. @throws StudioError not_found where model or data are gone */
  ofRun(run: string): Promise<ProcedureOutput<'templates.ofRun'>>;
  close(): void;
}

export function createPreviewService(
  context: ServiceContext,
  models: ModelService,
  datasets: DatasetService,
): PreviewService {
  // One that waits a while for the next row: a person looks at one after the other.
  const thread = createTokenizerThread();
  return {
    async rows({ dataset: datasetReference, model: modelReference, ...input }) {
      const [model, dataset] = [await models.getOrAdd(modelReference), datasets.get(datasetReference)];
      const { template, trainOn, truncation, split, offset, limit } = input;
      const length = Math.min(input.context ?? Infinity, model.contextLength);
      const rendering = { template, trainOn, format: dataset.format };
      const facts = await thread.renderer(model, rendering);
      const found: { index: number; row: Row }[] = [];
      for await (const numbered of datasets.read(dataset, { split, offset, limit })) found.push(numbered);
      const shown = await thread.preview(
        model,
        found.map(({ row }) => row),
        { rendering, context: length, truncation },
      );
      return {
        template: facts,
        context: length,
        rows: shown.map((row, i) => ({ index: found[i]!.index, ...row })),
      };
    },
    check: async ({ model, source, system }) =>
      thread.check(await models.getOrAdd(model), { name: 'custom', source, system }),
    async ofModel(reference) {
      const model = await models.getOrAdd(reference);
      const rendering = {
        template: templateSchema.parse({ name: 'model' }),
        trainOn: 'assistant',
        format: null,
      } as const;
      try {
        return { facts: await thread.renderer(model, rendering), problem: null };
      } catch (error) {
        // That there is none is no problem.
        const { code, message } = error as { code?: string; message: string };
        return { facts: null, problem: code === 'config_invalid' ? null : message };
      }
    },
    async ofRun(reference) {
      const run = findRun(context.database, context.project, reference);
      if (!run) throw missing('run', reference, []);
      const { node } = sourceOfRun(context, run);
      const rendering = renderingOf(mixLeaves(node)[0]!.dataset, run.config);
      const model = models.get(run.modelId);
      const trained = await thread.renderer(model, rendering);
      return { facts: await promptTemplate(thread, model, rendering), trained };
    },
    close: () => thread.close(),
  };
}

/** What callers ask of them. */
export const previewHandlers = (previews: PreviewService) =>
  ({
    'datasets.preview': (input) => previews.rows(input),
    'templates.check': (input) => previews.check(input),
    'templates.ofModel': ({ model }) => previews.ofModel(model),
    'templates.ofRun': ({ run }) => previews.ofRun(run),
  }) satisfies Partial<ProcedureHandlers>;
