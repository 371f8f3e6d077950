import { optionDefaults } from './trainingOptions.ts';
import { impossible } from '../methods/method.ts';

/**
 * Longest row, in tokens, that a run trains on: the one asked for. A model with fewer positions than the default has
 * its own as default.
 *
 * @param contextLength positions of the model
 * @throws StudioError config_invalid where another length beyond the model's is asked for
 */
export function fittingContext(context: number, contextLength: number): number {
  if (context <= contextLength) return context;
  if (context === optionDefaults.context) return contextLength;
  throw impossible(
    `A context of ${context} tokens is longer than the model's, which ends after ${contextLength}.`,
    `Set the context to ${contextLength} or less.`,
    ['context'],
  );
}
