import type { Dataset } from '../../contract/entities.ts';
import type { Row } from '../../contract/rows.ts';
import type { TrainConfig } from '../../contract/training.ts';
import type { TokenRow } from '../../formats/files/tokenFile.ts';
import type { Tokenizer } from '../../formats/model/tokenizer.ts';
import { tokenizeMarked } from '../tokenize.ts';
import { TemplateError } from './jinjaTemplate.ts';
import type { Renderer, Rendering } from './renderer.ts';

/** A whole row's tokens, not cut to any context. */
export interface TokenizedRow extends TokenRow {
  /** Why the template does not take the row, which has no tokens then; absent: it takes it. */
  refused?: string;
}

/** How the rows of a dataset become text; absent options: as usual. */
export function renderingOf(
  { format }: Pick<Dataset, 'format'>,
  { template, templateSource, system, trainOn }: RenderingOptions = renderingDefaults,
): Rendering {
  return { template: { name: template, source: templateSource, system }, trainOn, format };
}

/** The options of a run that decide it. */
export type RenderingOptions = Pick<TrainConfig, 'template' | 'templateSource' | 'system' | 'trainOn'>;

const renderingDefaults: RenderingOptions = {
  template: 'auto',
  templateSource: null,
  system: null,
  trainOn: 'assistant',
};

/** A row through a template: one that the template refuses has no tokens, and says so. */
export function tokenizeRow(tokenizer: Tokenizer, renderer: Renderer, row: Row): TokenizedRow {
  try {
    const rendered = renderer.row(row);
    return { ...tokenizeMarked(tokenizer, rendered), task: rendered.task };
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    const empty = { ids: new Int32Array(0), trained: new Uint8Array(0), task: row.task ?? 0 };
    return { ...empty, refused: error.message };
  }
}

/** Characters that a row has about, whatever template it goes through. */
export function charactersOf(row: Row): number {
  switch (row.kind) {
    case 'text':
      return row.text.length;
    case 'verbatim':
      return row.prompt.length + row.answer.length;
    case 'chat':
      return row.turns.reduce((sum, { content, input }) => sum + content.length + (input?.length ?? 0), 0);
  }
}
