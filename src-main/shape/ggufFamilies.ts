/** The families (`model_type` of config.json) of which GGUF files are written: llama.cpp computes them, too. */
export const ggufFamilies = [
  'llama',
  'mistral',
  'qwen2',
  'qwen3',
  'gemma',
  'gemma2',
  'gemma3_text',
  'phi3',
  'smollm3',
] as const;
export type GgufFamily = (typeof ggufFamilies)[number];

export function isGgufFamily(family: string): family is GgufFamily {
  return (ggufFamilies as readonly string[]).includes(family);
}
