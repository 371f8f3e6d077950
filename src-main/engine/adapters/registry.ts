import { StudioError } from '../../contract/errors.ts';
import type { Method } from '../../contract/training.ts';
import { dora } from './dora.ts';
import { hydraLora } from './hydraLora.ts';
import { idLora } from './idLora.ts';
import { lora } from './lora.ts';
import { moeLora } from './moeLora.ts';
import type { AdapterMethod } from './method.ts';

const adapterMethods: Partial<Record<Method, AdapterMethod>> = {
  lora,
  dora,
  hydralora: hydraLora,
  moelora: moeLora,
  idlora: idLora,
};

/** The implementation of a method. @throws StudioError config_invalid for one that the engine does not have. */
export function adapterMethod(method: Method): AdapterMethod {
  const found = adapterMethods[method];
  if (!found)
    throw new StudioError(
      'config_invalid',
      `Method "${method}" cannot be trained by this version.`,
      `Choose one of: ${Object.keys(adapterMethods).join(', ')}.`,
    );
  return found;
}
