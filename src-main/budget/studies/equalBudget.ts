import { StudioError } from '../../contract/errors.ts';
import type { EqualBudget } from '../../contract/studies.ts';
import { targetModules, type AdapterConfig, type Method } from '../../contract/training.ts';
import { amountText } from '../budgetUnits.ts';
import type { ModelShape } from '../../shape/modelShape.ts';
import { settingsText } from '../report.ts';
import { solveBudget } from '../solve.ts';
import type { WantedArm } from './plan.ts';

/**
 * Each method at the greatest rank within the budget, everything else as it is given. Alpha keeps its ratio to the
 * rank, so that the update is scaled alike.
 */
export function budgetArms(
  shape: ModelShape,
  { methods, budget, config }: EqualBudget,
): (WantedArm | { label: string; reason: string })[] {
  const ratio = config.adapter.alpha / config.adapter.rank;
  return methods.map((method) => {
    const adapter = ofMethod(config.adapter, method);
    try {
      const found = solveBudget(shape, adapter, budget);
      if (!found.solution) {
        const { nearest } = found;
        if (!nearest) return { label: method, reason: 'No rank can be built on this model.' };
        const settings = method === 'full' ? '' : ` (${settingsText(nearest.adapter)})`;
        return {
          label: method,
          reason: `The nearest possible is ${amountText(nearest.used, budget.unit)}${settings}.`,
        };
      }
      const { rank } = found.solution.adapter;
      return {
        label: method === 'full' ? method : `${method} r${rank}`,
        remainder: found.solution.remainder,
        published: null,
        config: { ...config, adapter: { ...adapter, rank, alpha: method === 'full' ? 1 : ratio * rank } },
      };
    } catch (error) {
      if (!(error instanceof StudioError)) throw error;
      return { label: method, reason: `${error.message} ${error.remedy}` };
    }
  });
}

/**
 * The options with another method: patterns name ranks, which the budget decides; full fine-tuning has no adapter to
 * describe.
 */
function ofMethod(adapter: AdapterConfig, method: Method): AdapterConfig {
  const own = { ...adapter, method, rankPattern: {}, alphaPattern: {} };
  return method === 'full'
    ? { ...own, dropout: 0, rankStabilized: false, layers: null, targets: [...targetModules] }
    : own;
}
