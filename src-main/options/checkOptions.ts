import type { StudioError } from '../contract/errors.ts';
import type { ConfigPath, TrainConfig } from '../contract/training.ts';
import { impossible } from '../methods/method.ts';
import { methodOf } from '../methods/registry.ts';

/**
 * Refuses training options that cannot go together, whatever the model.
 *
 * @param data rows that are held out, where they have been counted
 * @throws StudioError config_invalid with the options, their values and the nearest possible ones
 */
export function checkOptions(config: TrainConfig, data?: { heldOutRows: number }): void {
  const { loraPlusRatio, momentum, optimizer, adapter, loadIn8bit, loadIn4bit } = config;
  const method = methodOf(adapter);
  if (loadIn8bit && loadIn4bit) throw contradictingBase();
  if ((loadIn8bit || loadIn4bit) && !method)
    throw impossible(
      `Full fine-tuning trains the base: its weights cannot be kept in ${loadIn8bit ? 8 : 4} bits.`,
      'Keep them as they are stored, or choose a method with an adapter, for example lora.',
      [loadIn8bit ? 'loadIn8bit' : 'loadIn4bit'],
    );
  if (loraPlusRatio !== 1 && !method)
    throw impossible(
      `LoRA+ gives the B matrices a rate of their own, ${loraPlusRatio} times the learning rate; full fine-tuning has none.`,
      'Set the LoRA+ ratio to 1, or choose a method with an adapter, for example lora.',
      ['loraPlusRatio'],
    );
  if (momentum !== 0 && optimizer !== 'sgd')
    throw impossible(
      `Momentum ${momentum} belongs to the optimizer "sgd", not to "${optimizer}", which has beta1.`,
      'Set momentum to 0, or choose the optimizer "sgd".',
      ['momentum'],
    );

  checkHeldOut(config, data);
}

/** Both switches at once. */
export function contradictingBase(): StudioError {
  return impossible(
    'The base cannot be kept in 8 bits and in 4 bits at once.',
    'Choose one of the two: 4 bits take half the memory, 8 bits round less.',
    ['loadIn4bit'],
  );
}

/** Early stopping and the best checkpoint need a held-out loss on the way. */
function checkHeldOut(config: TrainConfig, data: { heldOutRows: number } | undefined): void {
  const { earlyStoppingPatience: patience, keepBest, heldOutFraction, heldOutRows, evalEvery } = config;
  if (patience === null && !keepBest) return;
  const early = `arly stopping after ${patience} ${patience === 1 ? 'evaluation' : 'evaluations'}`;
  const [what, otherwise] =
    patience === null
      ? ['Keeping the best checkpoint', 'or do not keep the best checkpoint']
      : keepBest
        ? [`E${early}, and keeping the best checkpoint,`, 'or leave out both']
        : [`E${early}`, 'or leave out early stopping'];
  const option: ConfigPath = [patience === null ? 'keepBest' : 'earlyStoppingPatience'];
  if (heldOutFraction === 0)
    throw impossible(
      `${what} needs held-out rows, but no share of the rows is held out.`,
      `Hold out a share of 0.02, ${otherwise}.`,
      option,
    );
  if (heldOutRows === 0)
    throw impossible(
      `${what} needs held-out rows, but 0 of them are to be scored.`,
      `Score 64 held-out rows, ${otherwise}.`,
      option,
    );
  if (evalEvery === 0) {
    const every = Math.max(1, Math.min(50, Math.floor((config.maxSteps ?? 500) / 10)));
    throw impossible(
      `${what} needs evaluations on the way, but there is one only at the end (eval steps 0).`,
      `Evaluate every ${every} steps, ${otherwise}.`,
      option,
    );
  }
  if (data?.heldOutRows === 0)
    throw impossible(
      `${what} needs held-out rows, but a held-out share of ${heldOutFraction} of this dataset leaves none that fits the context.`,
      `Raise the share (to 0.1, say) or the context, ${otherwise}.`,
      option,
    );
}
