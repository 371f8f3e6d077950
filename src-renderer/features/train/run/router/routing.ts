import type { RouterLayout, RouterRecord } from '../../../../../src-main/contract/runRecords.ts';
import type { AdapterConfig, TargetModule } from '../../../../../src-main/contract/training.ts';

/** What a method calls those among whom its router divides the work; null: it has no router. */
export function expertNoun({ method }: Pick<AdapterConfig, 'method'>): string | null {
  const nouns: Partial<Record<AdapterConfig['method'], string>> = {
    idlora: 'cluster',
    hydralora: 'head',
    moelora: 'expert',
  };
  return nouns[method] ?? null;
}

/** The experts of one module at one evaluation. */
export interface ModuleLoad {
  layer: number;
  /** Mean weight of each. */
  mean: readonly number[];
  /** How many are in use, 1 to their number. */
  used: number;
}

/** The load of one kind of module in every layer that has it. */
export function loadsOf(layout: RouterLayout, record: RouterRecord, module: TargetModule): ModuleLoad[] {
  const { experts, sites } = layout;
  return sites.flatMap((site, i) =>
    site.module === module
      ? [
          {
            layer: site.layer,
            mean: record.mean.slice(i * experts, (i + 1) * experts),
            used: usedExperts(record.magnitude.slice(i * experts, (i + 1) * experts)),
          },
        ]
      : [],
  );
}

/**
 * How many experts are in use: exp of the entropy of their shares, exp(-sum s_i ln s_i), where s_i is the mean absolute
 * weight of expert i divided by the sum of all. Equal shares give the number of experts, one that does everything gives
 * 1; 0 where all weights are 0.
 */
export function usedExperts(magnitudes: readonly number[]): number {
  const total = magnitudes.reduce((a, b) => a + b, 0);
  if (total === 0) return 0;
  const entropy = magnitudes.reduce((sum, value) => {
    const share = value / total;
    return share === 0 ? sum : sum - share * Math.log(share);
  }, 0);
  return Math.exp(entropy);
}
