import type { AdapterConfig, Method } from '../contract/training.ts';

/**
 * Counts that Ma et al. print for ID-LoRA and the methods beside it, as they stand in the paper's text, each with the
 * settings that it belongs to. Where the paper does not state a rank, only one gives the printed number; such ranks
 * are marked.
 */
export interface PublishedCount {
  table: PublishedTableName;
  /** A preset. */
  model: string;
  method: Method;
  /** What the paper calls the row, where it is not the method's name. */
  row?: string;
  settings: Partial<AdapterConfig> & { rank: number };
  /** The paper does not say the rank. */
  rankIsInferred?: true;
  /** As printed, without its unit. */
  printed: string;
  unit: '%' | 'M' | 'B';
}

export type PublishedTableName = 'table1' | 'table2' | 'table3' | 'table6' | 'table7';

export interface PublishedTable {
  name: PublishedTableName;
  title: string;
  /** Where it stands. */
  source: string;
  what: string;
}

export const publishedTables: readonly PublishedTable[] = [
  {
    name: 'table1',
    title: 'Table 1',
    source: 'section 5.2',
    what: 'Share of trainable parameters, single tasks',
  },
  {
    name: 'table2',
    title: 'Table 2',
    source: 'section 5.3',
    what: 'Share of trainable parameters, multi-task',
  },
  {
    name: 'table3',
    title: 'Table 3',
    source: 'section 5.5.2',
    what: 'Share of trainable parameters, ablation',
  },
  {
    name: 'table6',
    title: 'Table 6',
    source: 'appendix B',
    what: 'Trainable parameters at equal ranks',
  },
  {
    name: 'table7',
    title: 'Table 7',
    source: 'appendix B.2',
    what: 'Share of trainable parameters, about equal budgets',
  },
];

/**
 * k = 4 (section 4.1), s = 2 (section 4.2), rank 128 (Tables 4 and 5); the router on the input is what the counts need.
 */
const idLora = { rank: 128, clusters: 4, boost: 2, router: 'input' } as const;

function shares(table: 'table1' | 'table2', model: string, printed: Partial<Record<Method, string>>) {
  const settings = {
    full: { rank: 1 },
    lora: { rank: 32 },
    dora: { rank: 32 },
    hydralora: { rank: 16, heads: 3 },
    moelora: { rank: 8, experts: 4 },
    idlora: idLora,
  } satisfies Record<Method, PublishedCount['settings']>;
  return Object.entries(printed).map(([name, text]): PublishedCount => {
    const method = name as Method;
    return {
      table,
      model,
      method,
      printed: text,
      settings: settings[method],
      unit: '%',
      ...((method === 'dora' || method === 'moelora') && { rankIsInferred: true }),
    };
  });
}

function atRanks(method: Method, printed: readonly string[]): PublishedCount[] {
  return printed.map((text, i) => ({
    table: 'table6',
    model: 'llama-3-8b',
    method,
    settings: { ...(method === 'idlora' ? idLora : {}), rank: 8 * 2 ** i },
    printed: text.replace('B', ''),
    unit: text.endsWith('B') ? 'B' : 'M',
  }));
}

function atBudgets(method: Method, printed: Readonly<Record<number, string>>): PublishedCount[] {
  return Object.entries(printed).map(([rank, text]) => ({
    table: 'table7',
    model: 'llama-3-8b',
    method,
    settings: { ...(method === 'idlora' ? idLora : {}), rank: Number(rank) },
    printed: text,
    unit: '%',
  }));
}

const ablation = { table: 'table3', model: 'llama-3.2-3b', unit: '%' } as const;

export const publishedCounts: readonly PublishedCount[] = [
  ...shares('table1', 'llama-3-8b', {
    full: '100',
    lora: '1.03',
    dora: '1.05',
    hydralora: '1.10',
    idlora: '0.56',
  }),
  ...shares('table1', 'mistral-7b', {
    full: '100',
    lora: '1.15',
    dora: '1.16',
    hydralora: '1.22',
    idlora: '0.62',
  }),
  ...shares('table2', 'llama-3-8b', {
    full: '100',
    lora: '1.03',
    dora: '1.05',
    hydralora: '1.10',
    moelora: '1.09',
    idlora: '0.56',
  }),
  ...shares('table2', 'mistral-7b', {
    full: '100',
    lora: '1.15',
    dora: '1.16',
    hydralora: '1.22',
    moelora: '1.21',
    idlora: '0.62',
  }),
  { ...ablation, method: 'lora', settings: { rank: 32 }, rankIsInferred: true, printed: '1.49' },
  { ...ablation, method: 'idlora', row: 'ID-LoRA (PMRC+RB)', settings: idLora, printed: '0.77' },
  {
    ...ablation,
    method: 'idlora',
    row: 'ID-LoRA (w/o RB)',
    settings: { ...idLora, rank: 32, boost: 1 },
    rankIsInferred: true,
    printed: '0.83',
  },
  {
    ...ablation,
    method: 'idlora',
    row: 'ID-LoRA (SS+RB)',
    settings: { ...idLora, pivots: 'serial' },
    printed: '0.77',
  },
  {
    ...ablation,
    method: 'idlora',
    row: 'ID-LoRA (RS+RB)',
    settings: { ...idLora, pivots: 'random' },
    printed: '0.77',
  },
  ...atRanks('lora', ['21.0', '41.9', '83.9', '167.8', '335.5']),
  ...atRanks('dora', ['22.3', '43.3', '85.3', '169.1', '336.9']),
  ...atRanks('hydralora', ['46.7', '89.7', '175.7', '347.7', '691.6']),
  ...atRanks('moelora', ['88.9', '172.8', '340.5', '676.1', '1.3B']),
  ...atRanks('idlora', ['7.7', '10.4', '16.0', '27.0', '49.0']),
  ...atBudgets('lora', { 4: '0.13', 8: '0.26', 16: '0.52', 32: '1.03' }),
  ...atBudgets('idlora', { 32: '0.19', 64: '0.32', 128: '0.56', 256: '0.99' }),
];

/** A statement of the paper's text about counts. */
export interface PublishedClaim {
  text: string;
  source: string;
  printed: string;
  unit: '%' | 'x';
  /** The counts that it relates: (of) / (to), or 1 - (of) / (to) for savings. */
  relation: 'ratio' | 'saving' | 'share';
  of: Pick<PublishedCount, 'model' | 'method' | 'settings'>;
  to: Pick<PublishedCount, 'model' | 'method' | 'settings'>;
}

const eight = 'llama-3-8b';
const lora32 = { model: eight, method: 'lora', settings: { rank: 32 } } as const;
const dora32 = { model: eight, method: 'dora', settings: { rank: 32 } } as const;
const idLora128 = { model: eight, method: 'idlora', settings: idLora } as const;

export const publishedClaims: readonly PublishedClaim[] = [
  {
    text: 'About 5 times fewer trainable parameters than LoRA at rank 32',
    source: 'Figure 1 (c)',
    printed: '5',
    unit: 'x',
    relation: 'ratio',
    of: lora32,
    to: { model: eight, method: 'idlora', settings: { ...idLora, rank: 32 } },
  },
  {
    text: 'Up to 46 % fewer trainable parameters than LoRA',
    source: 'abstract, section 1',
    printed: '46',
    unit: '%',
    relation: 'saving',
    of: idLora128,
    to: lora32,
  },
  {
    text: 'Only 54 % of the trainable parameters of LoRA',
    source: 'abstract',
    printed: '54',
    unit: '%',
    relation: 'share',
    of: idLora128,
    to: lora32,
  },
  {
    text: '50 % fewer trainable parameters than DoRA',
    source: 'section 5.2',
    printed: '50',
    unit: '%',
    relation: 'saving',
    of: idLora128,
    to: dora32,
  },
];
