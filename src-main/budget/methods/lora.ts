import { kaimingMatrix, plainMethod, zeroMatrix, type MethodDeclaration } from './method.ts';

/** LoRA: A [r, dIn] kaiming-uniform, B [dOut, r] zero, as PEFT. */
export const lora: MethodDeclaration = {
  ...plainMethod,
  peftType: 'LORA',
  fileFlags: { fan_in_fan_out: false, use_dora: false },
  parameters: ({ dIn, dOut }, { rank }) => [
    kaimingMatrix('lora_A.weight', [rank, dIn]),
    zeroMatrix('lora_B.weight', [dOut, rank]),
  ],
};
