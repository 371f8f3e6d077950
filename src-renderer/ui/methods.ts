import type { Method } from '../../src-main/contract/training.ts';

/** Name and sign of each method, the same in every chart, chip and table. */
export const methodSigns: Readonly<
  Record<Method, { label: string; color: string; marker: string; symbol: string }>
> = {
  full: { label: 'Full', color: '--method-full', marker: '■', symbol: 'rect' },
  lora: { label: 'LoRA', color: '--method-lora', marker: '●', symbol: 'circle' },
  dora: { label: 'DoRA', color: '--method-dora', marker: '◆', symbol: 'diamond' },
  hydralora: { label: 'HydraLoRA', color: '--method-hydralora', marker: '▲', symbol: 'triangle' },
  moelora: { label: 'MoELoRA', color: '--method-moelora', marker: '▼', symbol: 'arrow' },
  idlora: { label: 'ID-LoRA', color: '--method-idlora', marker: '■', symbol: 'roundRect' },
};

/**
 * A text of the core with methods as people call them: `lora r3 less idlora r8` is `LoRA r3 less ID-LoRA r8`. A full
 * disk is none.
 */
export function methodNames(text: string): string {
  return text.replaceAll(
    /\b(?:full(?= less\b|[:,"]|$)|lora|dora|hydralora|moelora|idlora)\b/g,
    (id) => methodSigns[id as Method].label,
  );
}
