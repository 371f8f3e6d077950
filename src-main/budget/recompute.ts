import { adapterConfigSchema } from '../contract/training.ts';
import { countParameters, type ParameterCount } from './count.ts';
import { presets } from '../shape/modelShape.ts';
import type { PublishedClaim, PublishedCount } from './paper.ts';

/**
 * How a recomputed number relates to the printed one: equal when rounded to its digits, equal when cut after them, or
 * neither.
 */
export type Agreement = 'rounded' | 'cut' | 'differs';

export interface Recomputed {
  count: ParameterCount;
  /** In the printed unit, unrounded. */
  value: number;
  agreement: Agreement;
}

/** A published count from the formulas. */
export function recompute({ printed, unit, ...entry }: PublishedCount): Recomputed {
  const count = countOf(entry);
  const value = unit === '%' ? count.percentPaper : count.trainable / (unit === 'M' ? 1e6 : 1e9);
  return { count, value, agreement: agreement(value, printed) };
}

export interface RecomputedClaim {
  /** From the printed shares, "# Params (%)", rounded as they stand in the tables. */
  fromPrinted: number;
  /** From the trainable parameters themselves. */
  fromCounts: number;
  agreement: { fromPrinted: Agreement; fromCounts: Agreement };
}

/** A statement from the formulas, both ways; percent or times. */
export function recomputeClaim({ of, to, relation, printed }: PublishedClaim): RecomputedClaim {
  const [one, other] = [countOf(of), countOf(to)];
  const related = (quotient: number) =>
    relation === 'ratio' ? quotient : 100 * (relation === 'share' ? quotient : 1 - quotient);
  const rounded = ({ percentPaper }: ParameterCount) => Number(percentPaper.toFixed(2));
  const fromPrinted = related(rounded(one) / rounded(other));
  const fromCounts = related(one.trainable / other.trainable);
  return {
    fromPrinted,
    fromCounts,
    agreement: {
      fromPrinted: agreement(fromPrinted, printed),
      fromCounts: agreement(fromCounts, printed),
    },
  };
}

function countOf({ model, method, settings }: Pick<PublishedCount, 'model' | 'method' | 'settings'>) {
  const adapter = adapterConfigSchema.parse({ method, alpha: 2 * settings.rank, ...settings });
  return countParameters(presets[model]!, adapter);
}

function agreement(value: number, printed: string): Agreement {
  const digits = printed.split('.')[1]?.length ?? 0;
  if (value.toFixed(digits) === printed) return 'rounded';
  const cut = Math.floor(value * 10 ** digits) / 10 ** digits;
  return cut.toFixed(digits) === printed ? 'cut' : 'differs';
}
