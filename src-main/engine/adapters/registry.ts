import type { AdapterMethodName } from '../../budget/methods/registry.ts';
import { dora } from './dora.ts';
import { hydraLora } from './hydraLora.ts';
import { idLora } from './idLora.ts';
import { lora } from './lora.ts';
import type { AdapterMethod } from './method.ts';
import { moeLora } from './moeLora.ts';

/** The graph of each adapter method. */
export const adapterMethods: Readonly<Record<AdapterMethodName, AdapterMethod>> = {
  lora,
  dora,
  hydralora: hydraLora,
  moelora: moeLora,
  idlora: idLora,
};
