import type { Method } from '../../contract/training.ts';
import { dora } from './dora.ts';
import { hydraLora } from './hydraLora.ts';
import { idLora } from './idLora.ts';
import { lora } from './lora.ts';
import type { MethodDeclaration } from './method.ts';
import { moeLora } from './moeLora.ts';

/** Methods that put an adapter beside linear modules: all but full fine-tuning. */
export type AdapterMethodName = Exclude<Method, 'full'>;

/** What each adapter method stores. A new method is a file here, its graph in engine/adapters, and a line in both registries. */
export const methodDeclarations: Readonly<Record<AdapterMethodName, MethodDeclaration>> = {
  lora,
  dora,
  hydralora: hydraLora,
  moelora: moeLora,
  idlora: idLora,
};
