import { countParameters } from '../../budget/count.ts';
import { solveRank } from '../../budget/solve.ts';
import { StudioError } from '../../contract/errors.ts';
import { adapterConfigSchema, type AdapterConfig } from '../../contract/training.ts';
import { methodLabels } from '../../report/buildReport.ts';
import type { ModelShape } from '../../shape/modelShape.ts';

/** The rank that every setting is measured by: with four clusters the greatest that the starter model has rows for. */
const fullRank = 32;
/** LoRA of rank 32 has 1.71 times the parameters of ID-LoRA of rank 128 on LLaMA-3-8B (Table 6). */
const paperRatio = 83.9 / 49;

type Adapter = Partial<AdapterConfig> & Pick<AdapterConfig, 'method'>;

/** A setting of a small study, as it can be made on any model. */
interface Setting {
  adapter: Adapter;
  /** Takes the greatest rank within so many times the parameters of another; null: its rank is given. */
  within: { of: SettingKey; times: number } | null;
  /** What tells it from others of its method and rank. */
  tag: string;
}

function idLora(rank: number, rest: Partial<AdapterConfig> = {}, tag = ''): Setting {
  return { adapter: { method: 'idlora', rank, ...rest }, within: null, tag };
}

function within(of: SettingKey, times: number, adapter: Adapter, tag = ''): Setting {
  return { adapter, within: { of, times }, tag };
}

export const settingKeys = [
  ...(['full', 'idlora', 'lora', 'dora', 'hydralora', 'moelora'] as const),
  ...(['serial', 'random', 'unboosted'] as const),
  ...(['idlora8', 'lora8', 'idlora16', 'lora16', 'lora32'] as const),
  ...(['clusters2', 'clusters6', 'clusters8'] as const),
  ...(['boost1', 'boost4'] as const),
  ...(['gaussian', 'svd', 'loraFa'] as const),
  ...(['pivotRouter', 'fixed', 'fixedWide'] as const),
] as const;
export type SettingKey = (typeof settingKeys)[number];

const settings: Readonly<Record<SettingKey, Setting>> = {
  full: { adapter: { method: 'full', rank: 1 }, within: null, tag: '' },
  idlora: idLora(fullRank),
  lora: within('idlora', paperRatio, { method: 'lora' }),
  // The paper's have up to 7 % more than LoRA.
  dora: within('lora', 1.07, { method: 'dora' }),
  hydralora: within('lora', 1.07, { method: 'hydralora' }),
  moelora: within('lora', 1.07, { method: 'moelora' }),
  serial: idLora(fullRank, { pivots: 'serial' }, 'serial'),
  random: idLora(fullRank, { pivots: 'random' }, 'random'),
  // Boost s has s^2 times the rank with as many numbers.
  unboosted: idLora(fullRank / 4, { boost: 1 }, 'boost 1'),
  idlora8: idLora(8),
  lora8: within('idlora8', 1, { method: 'lora' }),
  idlora16: idLora(16),
  lora16: within('idlora16', 1, { method: 'lora' }),
  lora32: within('idlora', 1, { method: 'lora' }),
  clusters2: idLora(16, { clusters: 2 }, 'k 2'),
  clusters6: idLora(16, { clusters: 6 }, 'k 6'),
  clusters8: idLora(16, { clusters: 8 }, 'k 8'),
  boost1: idLora(2, { boost: 1 }, 'boost 1'),
  boost4: idLora(32, { boost: 4 }, 'boost 4'),
  gaussian: idLora(fullRank, { pivots: 'gaussian' }, 'Gaussian'),
  svd: idLora(fullRank, { pivots: 'svd' }, 'singular'),
  loraFa: within(
    'idlora',
    1,
    { method: 'idlora', clusters: 1, boost: 1, pivots: 'gaussian', router: 'fixed' },
    'as LoRA-FA',
  ),
  pivotRouter: idLora(fullRank, { router: 'pivot' }, 'pivot router'),
  fixed: idLora(fullRank, { router: 'fixed' }, 'fixed route'),
  // What the router has in numbers goes into B: with two clusters there are rows enough for the rank.
  fixedWide: within('idlora', 1, { method: 'idlora', clusters: 2, router: 'fixed' }, 'k 2, fixed route'),
};

/** A setting on a model. */
export interface SettledArm {
  key: SettingKey;
  /** `ID-LoRA r32 serial`: runs are called so, with their seed behind. */
  label: string;
  adapter: AdapterConfig;
  trainable: number;
}

/** Alpha is twice the rank, as in the paper. @throws StudioError config_invalid where no rank is small enough */
export function settle(shape: ModelShape, key: SettingKey): SettledArm {
  const { adapter: given, within: budget, tag } = settings[key];
  const { method } = given;
  const atRank = (rank: number) =>
    adapterConfigSchema.parse({ ...given, rank, alpha: method === 'full' ? 1 : 2 * rank });
  let adapter = atRank(given.rank ?? 1);
  if (budget) {
    const most = Math.floor(budget.times * settle(shape, budget.of).trainable);
    const found = solveRank(shape, adapter, most);
    if (!found.solution)
      throw new StudioError(
        'config_invalid',
        `${methodLabels[method]} needs at least ${found.least} parameters on this model, and the study gives it ${most}.`,
        'Take a larger model.',
      );
    adapter = atRank(found.solution.rank);
  }
  const named = method === 'full' ? methodLabels.full : `${methodLabels[method]} r${adapter.rank}`;
  const { trainable } = countParameters(shape, adapter);
  return { key, label: [named, tag].filter((part) => part !== '').join(' '), adapter, trainable };
}
