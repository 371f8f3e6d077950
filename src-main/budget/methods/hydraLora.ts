import { each, kaimingMatrix, plainMethod, zeroMatrix, type MethodDeclaration } from './method.ts';

/** HydraLoRA: one A [r, dIn], heads B_i [dOut, r], router R [heads, dIn]. A and R start kaiming-uniform, B_i at zero. */
export const hydraLora: MethodDeclaration = {
  ...plainMethod,
  peftType: 'HYDRALORA',
  fileKeys: { num_heads: 'heads' },
  parameters: ({ dIn, dOut }, { rank, heads }) => [
    kaimingMatrix('hydralora_A.weight', [rank, dIn]),
    ...each(heads, (i) => zeroMatrix(`hydralora_B.${i}.weight`, [dOut, rank])),
    kaimingMatrix('hydralora_router.weight', [heads, dIn]),
  ],
};
