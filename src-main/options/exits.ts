import type { ExportFormat, ExportRecord, FrozenRoute } from '../contract/results.ts';
import type { Method } from '../contract/training.ts';
import { methodOf } from '../methods/registry.ts';

/** A way out of the studio for what a run trained. */
export interface Exit {
  format: ExportFormat;
  title: string;
  /** What the files are, and what loads them. */
  text: string;
  files: string;
  /** Why the method does not have it; null where it does. */
  problem: string | null;
}

/** The exits of a method. The page and the command line say them before and after training. */
export function exitsOf(method: Method): Exit[] {
  const isAdapter = method !== 'full';
  const routes = methodOf({ method })?.routing !== undefined;
  return [
    {
      format: 'peft',
      title: 'Adapter folder (PEFT)',
      text:
        isAdapter && !loadsInPeft(method)
          ? 'The trained numbers alone, in PEFT’s layout. PEFT has no such method: the small Python package beside them teaches it, and the README says how.'
          : 'The trained numbers alone, beside the base model. PEFT loads the folder.',
      files: `adapter_config.json, adapter_model.safetensors, README.md${isAdapter && !loadsInPeft(method) ? ', id_lora/' : ''}`,
      problem: isAdapter ? null : 'Full fine-tuning trained every parameter: there is no adapter.',
    },
    {
      format: 'lora',
      title: 'Plain LoRA (route frozen)',
      text: 'An ordinary LoRA for PEFT, vLLM and whatever reads such adapters. The weights of its experts are held at their mean over rows of your data: another function than the run’s, and the certificate says how far off it is.',
      files: 'adapter_config.json, adapter_model.safetensors, README.md',
      problem: methodOf({ method })?.routing?.asLora
        ? null
        : 'The method has no route to freeze, or is no LoRA under one: its own adapter is what there is.',
    },
    {
      format: 'merged',
      title: 'Whole model',
      text: 'A complete Hugging Face folder: configuration, weights and tokenizer. Whatever loads such folders loads it.',
      files: 'config.json, *.safetensors, tokenizer.json',
      problem: !isAdapter
        ? null
        : routes
          ? 'The method weighs its experts anew for every token: no fixed weights compute the same.'
          : null,
    },
  ];
}

/** What leaves the studio, in a sentence. */
export function exitSentence(method: Method): string {
  if (method === 'full') return 'Exports as a whole Hugging Face model.';
  return loadsInPeft(method)
    ? 'Exports as an adapter folder that PEFT loads.'
    : 'Exports as an adapter folder that PEFT loads with the Python package beside it.';
}

export function loadsInPeft(method: Method): boolean {
  return methodOf({ method })?.peftType === 'LORA';
}

/** What a certificate vouches for, in a few words. */
export interface CertificateVerdict {
  isGood: boolean;
  /** For a column. */
  short: string;
  /** Beside the run's name. */
  long: string;
}

/** The one place that says whether an export is as it should be. */
export function certificateVerdict({
  equal,
  contradictions,
  frozen,
}: ExportRecord['certificate']): CertificateVerdict {
  if (!equal) return { isGood: false, short: 'DIFFERS', long: 'DIFFERS from the run' };
  if (contradictions && contradictions.length > 0)
    return {
      isGood: false,
      short: 'AMBIGUOUS',
      long: 'equal here, but the model folder CONTRADICTS ITSELF',
    };
  if (frozen) return { isGood: true, short: 'approximate', long: 'the run with its route frozen' };
  return { isGood: true, short: 'equal', long: 'equal to the run' };
}

/** What a certificate compared, and how it came out. */
export function certificateLines(certificate: ExportRecord['certificate']): string[] {
  const { equal, maxLogitDifference, tolerance, tokens, dtype, prompt, textTokens, sameChoices, peft } =
    certificate;
  const { contradictions = [], frozen } = certificate;
  const rounding = dtype === 'BF16' || dtype === 'F16' ? `, for rounding to ${dtype}` : '';
  const lines = [
    frozen
      ? frozenLine(certificate, frozen)
      : `${equal ? 'Equal to' : 'NOT EQUAL to'} what the run trained: greatest logit difference ${maxLogitDifference.toExponential(1)} over ${tokens} tokens (tolerance ${tolerance.toExponential(1)}${rounding}).`,
  ];
  if (sameChoices !== undefined)
    lines.push(
      `The likeliest next token is the same at ${sameChoices} of ${tokens} tokens: ${textTokens ?? 0} of ${prompt === '' ? 'a text' : `“${prompt}”`}, the others random.`,
    );
  if (peft)
    lines.push(
      `By PEFT's rules, in plain arithmetic: the files adapt ${peft.modules} of the run's ${peft.expectedModules} modules, and the updates of ${peft.rows} rows of weights ${peft.isEqual ? 'are the same' : 'DIFFER'} (greatest difference ${peft.maxDifference.toExponential(1)} of the greatest number).`,
    );
  return [...lines, ...contradictions.map((what) => `CONTRADICTION in the model folder: ${what}`)];
}

/** How far a frozen route is from the routed adapter, as measured. */
function frozenLine(
  { maxLogitDifference, tokens }: ExportRecord['certificate'],
  { dataset, rows, kl, routedLoss, frozenLoss }: FrozenRoute,
): string {
  const losses =
    routedLoss === null || frozenLoss === null
      ? ''
      : ` Loss on these rows: ${routedLoss.toFixed(4)} routed, ${frozenLoss.toFixed(4)} frozen (nats per answer token).`;
  return `NOT the same function as the run: its route is held at the mean over ${rows} rows of “${dataset}”. Greatest logit difference ${maxLogitDifference.toExponential(1)} over ${tokens} tokens, mean KL ${kl.toExponential(1)} nats.${losses}`;
}
