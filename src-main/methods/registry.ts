import type { AdapterConfig, Method } from '../contract/training.ts';
import { dora } from './dora.ts';
import { hydraLora } from './hydraLora.ts';
import { idLora } from './idLora.ts';
import { lora } from './lora.ts';
import type { AdapterMethod } from './method.ts';
import { moeLora } from './moeLora.ts';

/** Methods that put an adapter beside linear modules: all but full fine-tuning. */
export type AdapterMethodName = Exclude<Method, 'full'>;

/**
 * The adapter methods. A new one takes
 *
 * - a file beside this one and a line here;
 * - its name in contract/training.ts, because it crosses every boundary and is stored; options that no method has had
 *   yet are declared
 *   there, too, with their names and when they matter in options/trainingOptions.ts.
 *
 * With that it is counted, solved for, checked, trained, scored, decoded, exported and read again, on the command line,
 * too. For the page the compiler asks for its label and marks (src-renderer/ui/methods.ts) and a sentence
 * (features/train/MethodCards.svelte); new options also want a place in the form (fieldGroups.ts) and among a run's
 * facts (RunFacts.svelte). Reference values come from a case in tests/parity/generator/cases.py.
 */
export const adapterMethods: Readonly<Record<AdapterMethodName, AdapterMethod>> = {
  lora,
  dora,
  hydralora: hydraLora,
  moelora: moeLora,
  idlora: idLora,
};

/** Null for full fine-tuning, which has no adapter. */
export function methodOf({ method }: Pick<AdapterConfig, 'method'>): AdapterMethod | null {
  return method === 'full' ? null : adapterMethods[method];
}
