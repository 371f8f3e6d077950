import { lora } from './lora.ts';
import type { MethodDeclaration } from './method.ts';

/** DoRA: LoRA's parameters and a magnitude m [dOut], which starts at the norms of W's rows, as PEFT. */
export const dora: MethodDeclaration = {
  ...lora,
  fileFlags: { fan_in_fan_out: false, use_dora: true },
  parameters: (shape, adapter) => [
    ...lora.parameters(shape, adapter),
    {
      suffix: 'lora_magnitude_vector',
      shape: [shape.dOut],
      dtype: 'f32',
      trainable: true,
      initial: { kind: 'rowNorms' },
      rateGroup: 'B',
    },
  ],
};
