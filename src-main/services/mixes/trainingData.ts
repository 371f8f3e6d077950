import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { countRows } from '../../contract/datasets/parts.ts';
import type { DataContract, Dataset, Model } from '../../contract/entities.ts';
import type { TrainConfig } from '../../contract/training.ts';
import { renderingOf, type RenderingOptions } from '../../data/rendering/tokenizeRow.ts';
import { writeRowPlan, type RowPlan } from '../../data/mix/rowPlan.ts';
import { readingOf, templateOf } from '../../formats/model/identity.ts';
import { withTokenizerThread } from '../tokenizer/tokenizerThread.ts';
import { mixLeaves, type MixNode } from './mixTree.ts';
import { mixTotals, planMix, type LeafFiles, type RowReader } from './planMix.ts';
import { tokenizeSource } from './sourceTokens.ts';

export interface TrainingData {
  /** A plan of rows (data/mix/rowPlan.ts). */
  trainFile: string;
  /** Likewise; null where no row is held out. */
  heldOutFile: string | null;
  contract: DataContract;
}

interface Work {
  model: Model;
  node: MixNode;
  /** How rows become text; absent: as usual. */
  rendering?: RenderingOptions | undefined;
  /** Token files that were found before: who asks often need not load the tokenizer to find them again. */
  known?: Map<string, string> | undefined;
  /** Where the library keeps its copies. */
  datasetFolder: string;
  cacheFolder: string;
  /** Aborting ends it at once, in the middle of a row, too. */
  signal: AbortSignal;
  /** Called now and then, and at the end of work that took place. */
  onRows(done: number, total: number): void;
}

/**
 * Tokenizes what a run is trained on into the cache, each source once, and plans its rows there.
 * @throws StudioError as `planMix` does
 */
export async function prepareTrainingData(
  options: Work & {
    config: RenderingOptions &
      Pick<TrainConfig, 'context' | 'truncation' | 'seed' | 'heldOutFraction' | 'packing'>;
    read?: RowReader;
  },
): Promise<TrainingData> {
  const { model, node, config, cacheFolder } = options;
  const files = await tokenizeLeaves({ ...options, rendering: config });
  const context = Math.min(config.context, model.contextLength);
  const planned = planMix(node, files, { ...config, context }, options.read);
  const totals = mixTotals(planned);
  const path = (part: string) => join(cacheFolder, 'tokens', `${totals.hash}.${part}`);
  const write = (part: string, plan: RowPlan) => {
    writeRowPlan(path(part), plan);
    return path(part);
  };
  const sum = (key: 'truncatedRows' | 'droppedRows' | 'refusedRows') =>
    planned.sources.reduce((total, source) => total + source[key], 0);
  return {
    trainFile: write('train', planned.train),
    heldOutFile: planned.heldOut && write('heldout', planned.heldOut),
    contract: {
      hash: totals.hash,
      parts: contractParts(options, context),
      sources: planned.sources,
      datasetHash: sourcesHash(node),
      rows: mixLeaves(node).reduce((total, { dataset, split }) => total + countRows(dataset, split), 0),
      trainRows: totals.rows,
      heldOutRows: totals.heldOutRows,
      truncatedRows: sum('truncatedRows'),
      droppedRows: sum('droppedRows'),
      refusedRows: sum('refusedRows'),
      tokens: totals.tokens,
      trainedTokens: totals.trainedTokens,
      // The engine packs, with the run's seed.
      packing: null,
    },
  };
}

/** Tokenizes the datasets of a mix, where that was not done before. @returns their files, in the order of the leaves */
export function tokenizeLeaves({ signal, ...work }: Work): Promise<LeafFiles[]> {
  const { model, node, rendering, known, datasetFolder, cacheFolder, onRows } = work;
  const leaves = mixLeaves(node);
  const parts = leaves.map(({ dataset, split }) => ({
    dataset,
    split,
    rows: countRows(dataset, split),
    validation: split === 'train' ? countRows(dataset, 'validation') : 0,
  }));
  const total = parts.reduce((sum, part) => sum + part.rows + part.validation, 0);
  return withTokenizerThread(signal, async (thread) => {
    const files: LeafFiles[] = [];
    let before = 0;
    const tokenize = async (dataset: Dataset, split: 'train' | 'validation' | 'test', rows: number) => {
      const begin = before;
      before += rows;
      const source = { model, dataset, split, rendering: renderingOf(dataset, rendering) };
      const key = JSON.stringify([model.identity, dataset.contentHash, split, source.rendering]);
      const file = known?.get(key);
      if (file !== undefined && existsSync(file)) return file;
      const report = (done: number) => onRows(begin + done, total);
      const made = await tokenizeSource(thread, source, {
        datasetFolder,
        cacheFolder,
        signal,
        onRows: report,
      });
      known?.set(key, made);
      return made;
    };
    for (const { dataset, split, rows, validation } of parts)
      files.push({
        train: await tokenize(dataset, split, rows),
        validation: validation > 0 ? await tokenize(dataset, 'validation', validation) : null,
      });
    return files;
  });
}

/** All that decides the rows of a run and their tokens, by the names that a person knows. */
function contractParts(
  { model, node, config }: Pick<Parameters<typeof prepareTrainingData>[0], 'model' | 'node' | 'config'>,
  context: number,
): Record<string, string> {
  const leaves = mixLeaves(node);
  const { sources: _sources, ...rules } = node.recipe;
  return {
    datasets: leaves.map(({ name, split }) => `${name} (${split})`).join(', '),
    content: leaves.map(({ dataset }) => dataset.contentHash).join(', '),
    tokenizer: readingOf(model),
    template: templateWords(config),
    "the model's template": templateOf(model),
    trained: { assistant: 'every answer', last: 'the last answer', all: 'everything' }[config.trainOn],
    amounts: leaves.map(({ name, asked }) => `${name}: ${asked}`).join(', '),
    mixing: JSON.stringify(rules),
    seed: String(config.seed),
    'held out': `${Number((100 * config.heldOutFraction).toFixed(4))} %`,
    context: `${context} tokens`,
    'longer rows': { right: 'end cut', left: 'begin cut', drop: 'left out' }[config.truncation],
    packing: config.packing ? 'on' : 'off',
  };
}

function templateWords({ template, templateSource, system }: RenderingOptions): string {
  const source = templateSource === null ? '' : `: ${templateSource}`;
  return `${template}${source}${system === null ? '' : `, system text: ${system}`}`;
}

/** What rows the datasets of a mix hold: of a single dataset its own hash. */
function sourcesHash(node: MixNode): string {
  const hashes = mixLeaves(node).map(({ dataset }) => dataset.contentHash);
  return hashes.length === 1 ? hashes[0]! : [...hashes].sort().join(' ');
}
