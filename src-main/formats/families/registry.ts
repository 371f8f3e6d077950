import { exaone4 } from './exaone.ts';
import type { Family } from './family.ts';
import { gemma, gemma2, gemma3 } from './gemma.ts';
import { granite } from './granite.ts';
import { llama } from './llama.ts';
import { ministral, mistral } from './mistral.ts';
import { olmo2, olmo3 } from './olmo.ts';
import { phi3 } from './phi.ts';
import { qwen2, qwen3 } from './qwen.ts';
import { smollm3 } from './smollm.ts';

/**
 * The families by `model_type` of config.json, each as transformers 5 computes it (models/<family>/configuration_*.py
 * and modeling_*.py). A new one whose layers the engine computes already takes a file beside this one and a line here:
 * the name is stored and shown as it is. What no family has had yet is a field of DecoderConfig, which llamaRules and
 * the engine's model/ then know, too. Reference values come from a case in tests/parity/generator/models.py, a folder
 * in tests/fixtures.
 */
export const families: Readonly<Record<string, Family>> = {
  llama,
  mistral,
  ministral,
  qwen2,
  qwen3,
  gemma,
  gemma2,
  gemma3_text: gemma3,
  phi3,
  smollm3,
  granite,
  olmo2,
  olmo3,
  exaone4,
};
