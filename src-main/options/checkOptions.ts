import type { TrainConfig } from '../contract/training.ts';
import { impossible } from '../methods/method.ts';
import { methodOf } from '../methods/registry.ts';

/**
 * Refuses training options that cannot go together, whatever the model.
 *
 * @param data rows that are held out, where they have been counted
 * @throws StudioError config_invalid with the options, their values and the nearest possible ones
 */
export function checkOptions(config: TrainConfig, data?: { heldOutRows: number }): void {
  const { loraPlusRatio, momentum, optimizer, adapter, loadIn8bit } = config;
  const method = methodOf(adapter);
  const wholeWeight = method ? method.readsWholeWeight : 'Full fine-tuning trains the base';
  if (loadIn8bit && wholeWeight !== null)
    throw impossible(
      `${wholeWeight}: its weights cannot be kept in 8 bits (loadIn8bit).`,
      'Set loadIn8bit to false, or choose another method, for example lora.',
    );
  if (loraPlusRatio !== 1 && !method)
    throw impossible(
      `LoRA+ gives the B matrices a rate of their own (loraPlusRatio ${loraPlusRatio}); full fine-tuning has none.`,
      'Set the ratio to 1, or choose a method with an adapter, for example lora.',
    );
  if (momentum !== 0 && optimizer !== 'sgd')
    throw impossible(
      `momentum ${momentum} belongs to the optimizer "sgd", not to "${optimizer}", which has beta1.`,
      'Set momentum to 0, or choose the optimizer "sgd".',
    );

  const needing = [
    config.earlyStoppingPatience === null
      ? ''
      : `early stopping (earlyStoppingPatience ${config.earlyStoppingPatience})`,
    config.keepBest ? 'keeping the best checkpoint (keepBest true)' : '',
  ].filter((text) => text !== '');
  if (needing.length === 0) return;
  const what = capitalised(needing.join(' and '));
  const otherwise = 'or leave out earlyStoppingPatience and keepBest';
  if (config.heldOutFraction === 0)
    throw impossible(
      `${what} needs held-out rows, but heldOutFraction is 0.`,
      `Set it to 0.02, ${otherwise}.`,
    );
  if (config.heldOutRows === 0)
    throw impossible(`${what} needs held-out rows, but heldOutRows is 0.`, `Set it to 64, ${otherwise}.`);
  if (config.evalEvery === 0) {
    const every = Math.max(1, Math.min(50, Math.floor((config.maxSteps ?? 500) / 10)));
    throw impossible(
      `${what} needs evaluations on the way, but evalEvery is 0 (only at the end).`,
      `Set it to ${every}, ${otherwise}.`,
    );
  }
  if (data?.heldOutRows === 0)
    throw impossible(
      `${what} needs held-out rows, but heldOutFraction ${config.heldOutFraction} of this dataset leaves none that fits the context.`,
      `Raise heldOutFraction (0.1, say) or the context, ${otherwise}.`,
    );
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
