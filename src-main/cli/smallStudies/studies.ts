import type { SettingKey } from './settings.ts';

/** A pair that a study is about. */
export interface Claim {
  first: SettingKey;
  second: SettingKey;
  /** Which of the two the paper finds better; null: it leaves it open. */
  paper: 'first' | 'second' | null;
}

/** A table or figure of the paper, or a question that its reviewers left open, at the size of a small model. */
export interface SmallStudy {
  name: string;
  title: string;
  question: string;
  settings: readonly SettingKey[];
  claims: readonly Claim[];
  /** Tasks of the starter lab that the adapters are scored on, beside the loss of held-out rows. */
  tasks: readonly ('functions' | 'requests')[];
  picture: 'rows' | 'parity';
  /** Measures decoding instead of training and scoring. */
  isSpeed?: true;
}

const idLoraAgainst = (second: SettingKey, paper: Claim['paper'] = 'first'): Claim => ({
  first: 'idlora',
  second,
  paper,
});

export const smallStudies: readonly SmallStudy[] = [
  {
    name: 'table-2',
    title: 'Table 2: the methods on two tasks at once',
    question: 'Is ID-LoRA better than methods with 1.6 to 1.7 times its parameters?',
    settings: ['full', 'lora', 'dora', 'hydralora', 'moelora', 'idlora'],
    claims: [
      idLoraAgainst('lora'),
      idLoraAgainst('dora'),
      idLoraAgainst('hydralora'),
      idLoraAgainst('moelora'),
      idLoraAgainst('full'),
    ],
    tasks: ['functions'],
    picture: 'rows',
  },
  {
    name: 'table-3',
    title: 'Table 3: how rows are chosen, and rank boosting',
    question: 'What are clustering and rank boosting worth?',
    settings: ['lora', 'idlora', 'unboosted', 'serial', 'random'],
    claims: [
      idLoraAgainst('lora'),
      idLoraAgainst('unboosted'),
      idLoraAgainst('serial'),
      idLoraAgainst('random'),
    ],
    tasks: ['functions'],
    picture: 'rows',
  },
  {
    name: 'table-7',
    title: 'Table 7 and figure 4: LoRA and ID-LoRA at equal budgets',
    question: 'Is ID-LoRA better than LoRA with as many parameters, at several budgets?',
    settings: ['lora8', 'lora16', 'lora32', 'lora', 'idlora8', 'idlora16', 'idlora'],
    claims: [
      { first: 'idlora8', second: 'lora8', paper: 'first' },
      { first: 'idlora16', second: 'lora16', paper: 'first' },
      idLoraAgainst('lora32'),
    ],
    tasks: ['functions'],
    picture: 'parity',
  },
  {
    name: 'table-8',
    title: 'Table 8: the number of clusters',
    question: 'Is ID-LoRA with four clusters better than with two, six or eight, at one rank?',
    settings: ['clusters2', 'idlora16', 'clusters6', 'clusters8'],
    claims: [
      { first: 'idlora16', second: 'clusters2', paper: null },
      { first: 'idlora16', second: 'clusters6', paper: null },
      { first: 'idlora16', second: 'clusters8', paper: 'first' },
    ],
    tasks: ['functions'],
    picture: 'rows',
  },
  {
    name: 'figure-3',
    title: 'Figure 3: time of a token, and numbers beside the base model',
    question: 'What does an adapter that is not merged cost when the model answers?',
    settings: ['lora', 'dora', 'hydralora', 'moelora', 'idlora'],
    claims: [],
    tasks: [],
    picture: 'rows',
    isSpeed: true,
  },
  {
    name: 'bases',
    title: 'Rows of W, or other frozen bases',
    question: 'Are rows of W better than Gaussian numbers, singular vectors, and LoRA-FA at one budget?',
    settings: ['idlora', 'random', 'gaussian', 'svd', 'loraFa'],
    claims: [
      idLoraAgainst('random'),
      idLoraAgainst('gaussian', null),
      idLoraAgainst('svd', null),
      idLoraAgainst('loraFa', null),
    ],
    tasks: ['functions'],
    picture: 'rows',
  },
  {
    name: 'boost',
    title: 'Boost 1, 2 and 4 at one budget',
    question: 'Is it better to have four times the rank in half the block size, and again?',
    settings: ['boost1', 'idlora8', 'boost4', 'unboosted', 'idlora'],
    claims: [
      { first: 'idlora8', second: 'boost1', paper: 'first' },
      { first: 'idlora8', second: 'boost4', paper: null },
      idLoraAgainst('unboosted'),
    ],
    tasks: ['functions'],
    picture: 'rows',
  },
  {
    name: 'route',
    title: 'A router, or a fixed route',
    question: 'Is a router on the input better than one on the pivots, and than none?',
    settings: ['idlora', 'pivotRouter', 'fixed', 'fixedWide'],
    claims: [
      idLoraAgainst('pivotRouter', null),
      idLoraAgainst('fixed', null),
      idLoraAgainst('fixedWide', null),
    ],
    tasks: ['functions'],
    picture: 'rows',
  },
];
