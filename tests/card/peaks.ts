/**
 * Products of bf16 matrices with sums in f32 that a card does in a second at most, in TFLOP/s, without sparsity: what
 * NVIDIA's data sheets (data-centre and workstation cards) and architecture white papers (GeForce) state. The first
 * that fits decides.
 */
const bf16Peaks: readonly (readonly [RegExp, number])[] = [
  [/\bH100 PCIe/, 756],
  [/\bH100 NVL/, 835],
  [/\b(H100|H200|GH200|H800)\b/, 989],
  [/\bH20\b/, 148],
  [/\bB200\b/, 2250],
  [/\b(A100|A800)\b/, 312],
  [/\bA40\b/, 149.7],
  [/\bA30\b/, 165],
  [/\bA10\b/, 125],
  [/\bL40S\b/, 362],
  [/\bL40\b/, 181],
  [/\bL4\b/, 121],
  [/\bRTX PRO 6000 Blackwell Max-Q/, 438.9],
  [/\bRTX PRO 6000 Blackwell/, 503.8],
  [/\bRTX 6000 Ada/, 364],
  [/\bRTX A6000\b/, 154.8],
  [/\bRTX 5090(?! (D|Laptop))/, 209.5],
  [/\bRTX 5080(?! Laptop)/, 112.6],
  [/\bRTX 4090(?! (D|Laptop))/, 165.2],
  [/\bRTX 4080(?! (SUPER|Laptop))/, 97.5],
  [/\bRTX 3090(?! (Ti|Laptop))/, 71],
  [/\bRTX 3080(?! (Ti|12GB|Laptop))/, 59.5],
];

/** In FLOP/s, by the name that nvidia-smi gives; null: it is not known. */
export function bf16PeakOf(card: string): number | null {
  const found = bf16Peaks.find(([name]) => name.test(card));
  return found ? found[1] * 1e12 : null;
}
