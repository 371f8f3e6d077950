import type {
  CutModule,
  Elsewhere,
  ExportFormat,
  ExportOptions,
  ExportRecord,
  FrozenRoute,
} from '../contract/results.ts';
import type { Method, Quantization } from '../contract/training.ts';
import { methodOf } from '../methods/registry.ts';
import { ggufFamilies, isGgufFamily } from '../shape/ggufFamilies.ts';

/** A way out of the studio for what a run trained. */
export interface Exit {
  format: ExportFormat;
  title: string;
  /** What the files are, and what loads them. */
  text: string;
  files: string;
  /** Where it runs. */
  runsIn: string;
  /** Why the method does not have it; null where it does. */
  problem: string | null;
}

/** Whether the files are for llama.cpp and what is built on it. */
export function isGguf(format: ExportFormat): boolean {
  return format === 'gguf-lora' || format === 'gguf';
}

/** Why llama.cpp does not compute a family of models; null: it does, or the family is not known yet. */
function familyProblem(family: string | null): string | null {
  return family === null || isGgufFamily(family)
    ? null
    : `GGUF files are written for ${ggufFamilies.join(', ')}; this model is of the family ${family}.`;
}

/**
 * The exits of a method. The page and the command line say them before and after training.
 * @param family of the base model; null: not known yet
 */
export function exitsOf(method: Method, family: string | null = null): Exit[] {
  const isAdapter = method !== 'full';
  const routing = methodOf({ method })?.routing;
  return [
    {
      format: 'peft',
      title: 'Adapter folder (PEFT)',
      text:
        isAdapter && !loadsInPeft(method)
          ? 'The trained numbers alone, in PEFT’s layout. PEFT has no such method: the small Python package beside them teaches it, and the README says how.'
          : 'The trained numbers alone, beside the base model. PEFT loads the folder.',
      files: `adapter_config.json, adapter_model.safetensors, README.md${isAdapter && !loadsInPeft(method) ? ', id_lora/' : ''}`,
      runsIn: loadsInPeft(method) ? 'PEFT' : 'PEFT with the package beside it',
      problem: isAdapter ? null : 'Full fine-tuning trained every parameter: there is no adapter.',
    },
    {
      format: 'lora',
      title: 'Plain LoRA (route frozen)',
      text: 'An ordinary LoRA for PEFT, vLLM and whatever reads such adapters. The weights of its experts are held at their mean over rows of your data: another function than the run’s, and the certificate says how far off it is.',
      files: 'adapter_config.json, adapter_model.safetensors, README.md',
      runsIn: 'PEFT, vLLM and others that read LoRA',
      problem: methodOf({ method })?.routing?.asLora
        ? null
        : 'The method has no route to freeze, or is no LoRA under one: its own adapter is what there is.',
    },
    {
      format: 'merged',
      title: 'Whole model',
      text: routing?.asLora
        ? 'A complete Hugging Face folder, with the weights of its experts held at their mean over rows of your data: another function than the run’s, and the certificate says how far off it is.'
        : 'A complete Hugging Face folder: configuration, weights and tokenizer. Whatever loads such folders loads it.',
      files: 'config.json, *.safetensors, tokenizer.json',
      runsIn: 'whatever reads Hugging Face folders',
      problem:
        routing && !routing.asLora
          ? 'The method weighs its experts anew for every token: no fixed weights compute the same.'
          : null,
    },
    {
      format: 'gguf-lora',
      title: 'GGUF adapter for llama.cpp',
      text: `One file for llama.cpp, Ollama and LM Studio, beside the base model as GGUF.${routing ? ` ${frozenText}` : ''}`,
      files: 'adapter.gguf, Modelfile, README.md',
      runsIn: 'llama.cpp, Ollama, LM Studio',
      problem: familyProblem(family) ?? ggufAdapterProblem(method),
    },
    {
      format: 'gguf',
      title: 'GGUF model for llama.cpp',
      text: `One file with weights, tokenizer and chat template for llama.cpp, Ollama and LM Studio, in F32, F16, BF16, Q8_0 or Q4_K_M.${routing ? ` ${frozenText}` : ''}`,
      files: 'model.gguf, Modelfile, README.md',
      runsIn: 'llama.cpp, Ollama, LM Studio',
      problem: familyProblem(family) ?? routeProblem(method),
    },
  ];
}

function ggufAdapterProblem(method: Method): string | null {
  if (method === 'full') return 'Full fine-tuning trained every parameter: there is no adapter.';
  const own = methodOf({ method })!;
  if (own.peftType === 'LORA' && own.fileFlags['use_dora'])
    return 'DoRA rescales the rows of the base’s weights, which llama.cpp’s adapters do not: merge it.';
  return routeProblem(method);
}

function routeProblem(method: Method): string | null {
  const routing = methodOf({ method })?.routing;
  return routing && !routing.asLora ? 'The method is no LoRA, even under a fixed route.' : null;
}

const frozenText =
  'The weights of its experts are held at their mean over rows of your data: another function than the run’s, and the certificate says how far off it is.';

/** The options of an export, with what of it they belong to. */
const exportOptions: Readonly<Record<keyof ExportOptions, string>> = {
  calibration: 'a frozen route is averaged over rows',
  embedPivots: 'the adapter folder of ID-LoRA names rows of the base',
  dtype: 'a whole model has weights of a type',
  rank: 'a plain LoRA with the route frozen can be cut to a rank',
  checkElsewhere: 'other software reads the files',
};

/** Which options mean something to an export of what a method trained. */
export function meantOptions(method: Method, format: ExportFormat): Set<keyof ExportOptions> {
  const adapter = methodOf({ method });
  const freezes = format !== 'peft' && adapter?.routing !== undefined;
  const meant: Record<keyof ExportOptions, boolean> = {
    calibration: freezes,
    embedPivots: format === 'peft' && adapter?.refersToBase === true,
    dtype: format === 'merged' || format === 'gguf',
    rank: freezes && (format === 'lora' || format === 'gguf-lora'),
    checkElsewhere: true,
  };
  return new Set((Object.keys(meant) as (keyof ExportOptions)[]).filter((name) => meant[name]));
}

/** An option that was asked for and means nothing, with what it belongs to; null: each means something. */
export function idleExportOption(
  method: Method,
  format: ExportFormat,
  options: ExportOptions,
): { option: keyof ExportOptions; belongsTo: string } | null {
  const meant = meantOptions(method, format);
  const option = (Object.keys(exportOptions) as (keyof ExportOptions)[]).find(
    (name) => options[name] !== undefined && options[name] !== false && !meant.has(name),
  );
  return option === undefined ? null : { option, belongsTo: exportOptions[option] };
}

/** What leaves the studio, in a sentence or two: said before a training. */
export function exitSentence(method: Method): string {
  if (method === 'full') return 'Exports as a whole Hugging Face model.';
  const others = exitsOf(method).filter(({ format, problem }) => format !== 'peft' && problem === null);
  const frozen = methodOf({ method })?.routing ? ', with its route frozen' : '';
  const also = others
    .map(({ title }) => title.replace(/ \(.*\)/, '').replace(/^[PW]/, (letter) => letter.toLowerCase()))
    .join(' or ');
  const adapter = loadsInPeft(method)
    ? 'Exports as an adapter folder that PEFT loads.'
    : 'Exports as an adapter folder that PEFT loads with the Python package beside it.';
  return also === '' ? adapter : `${adapter} Also as ${also}${frozen}.`;
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
  const { contradictions = [], notes = [], frozen } = certificate;
  const rounding = dtype === undefined || dtype === 'F32' ? '' : `, for rounding to ${dtype}`;
  const lines = [
    frozen
      ? frozenLine(certificate, frozen)
      : `${equal ? 'Equal to' : 'NOT EQUAL to'} what the run trained: greatest logit difference ${maxLogitDifference.toExponential(1)} over ${tokens} tokens (tolerance ${tolerance.toExponential(1)}${rounding}).`,
  ];
  if (sameChoices !== undefined)
    lines.push(
      `The likeliest next token is the same at ${sameChoices} of ${tokens} tokens: ${textTokens ?? 0} of ${prompt === '' ? 'a text' : `“${prompt}”`}, the others random.`,
    );
  if (certificate.kl !== undefined && !frozen)
    lines.push(`Mean KL of the next token, run against files: ${certificate.kl.toExponential(1)} nats.`);
  const { otherFiles, elsewhere } = certificate;
  if (otherFiles)
    lines.push(
      otherFiles.length === 0
        ? 'Tokenizer, template and the tokens that end an answer are the base’s.'
        : `NOT the base’s: ${otherFiles.join(' and ')}.`,
    );
  if (elsewhere?.answers) lines.push(answersLine(elsewhere, elsewhere.answers));
  else if (elsewhere)
    lines.push(
      `${elsewhere.isEqual ? 'The same' : 'NOT THE SAME'} in other software (${elsewhere.software}): greatest logit difference ${elsewhere.maxLogitDifference.toExponential(1)} from the studio’s reader (tolerance ${elsewhere.tolerance.toExponential(1)}), the same likeliest token at ${elsewhere.sameChoices} of ${tokens}.`,
    );
  if (peft)
    lines.push(
      `By ${peft.rules === 'llama.cpp' ? 'llama.cpp' : 'PEFT'}'s rules, in plain arithmetic: the files adapt ${peft.modules} of the run's ${peft.expectedModules} modules, and the updates of ${peft.rows} rows of weights ${peft.isEqual ? 'are the same' : 'DIFFER'} (greatest difference ${peft.maxDifference.toExponential(1)} of the greatest number).`,
    );
  const { merged } = certificate;
  if (merged)
    lines.push(
      `In plain arithmetic: ${merged.rows} rows of ${merged.modules} merged weights ${merged.isEqual ? 'are what base and update add up to' : 'are NOT what base and update add up to'} (greatest difference ${merged.maxDifference.toExponential(1)} of a row’s greatest number).`,
    );
  return [...lines, ...notes, ...contradictions.map((what) => `CONTRADICTION in the model folder: ${what}`)];
}

/** How weights are packed that a run keeps as they are stored. */
const keptAsStored: Readonly<Record<Quantization, string | null>> = { none: null, int8: 'INT8', nf4: 'NF4' };

/**
 * What a certificate says of a run whose base was rounded: files and comparison are of the base as it is stored.
 * @param base.quantization how its weights are packed; null: they are not
 * @returns null where it was not
 */
export function roundedBaseNote(
  kept: Quantization,
  base: { quantization: string | null },
  isWholeModel: boolean,
): string | null {
  if (kept === 'none' || keptAsStored[kept] === base.quantization) return null;
  const bits = kept === 'nf4' ? '4 bits (NF4)' : '8 bits';
  return isWholeModel
    ? `The adapter is merged into the base as it is stored, and was trained on the base rounded to ${bits}: the run’s scores are those of the rounded one, and the merged model has scores of its own.`
    : `Compared on the base as it is stored; the run was trained and is scored on the base rounded to ${bits}.`;
}

/** What llama.cpp answered from the files. */
function answersLine(
  { isEqual, software, maxLogitDifference, tolerance }: Elsewhere,
  { prompts, equal, tokens }: NonNullable<Elsewhere['answers']>,
): string {
  const others =
    equal === prompts
      ? ''
      : `; where the others part, our token is likelier than theirs by a logit difference of at most ${maxLogitDifference.toExponential(1)} (tolerance ${tolerance.toExponential(1)})`;
  return `${isEqual ? 'The same' : 'NOT THE SAME'} in other software (${software}): ${equal} of ${prompts} greedy answers are ours token by token, ${tokens} tokens in all${others}.`;
}

/** Which share of the variance of all updates was kept where some were cut. */
export function keptVariance(modules: readonly CutModule[]): number {
  const all = modules.reduce((sum, { variance }) => sum + variance, 0);
  return all === 0 ? 1 : modules.reduce((sum, { variance, kept }) => sum + variance * kept, 0) / all;
}

/**
 * What a cut of the rank kept: in all, of each kind of module, and of the one that lost most.
 * @param modules undefined in records that do not have them
 */
export function cutSentence(kept: number, modules: readonly CutModule[] | undefined): string {
  const percent = (share: number) => `${(100 * share).toFixed(2)} %`;
  const start = `Its rank was cut, which kept ${percent(kept)} of the variance of the updates`;
  if (!modules) return `${start}.`;
  if (modules.length === 0) return 'No update has a higher rank than was asked for: nothing was cut.';
  const kinds = new Map<string, CutModule[]>();
  for (const module of modules) {
    const kind = module.path.slice(module.path.lastIndexOf('.') + 1);
    kinds.set(kind, [...(kinds.get(kind) ?? []), module]);
  }
  const shares = [...kinds].map(([kind, own]) => `${kind} ${percent(keptVariance(own))}`);
  const least = modules.reduce((worst, module) => (module.kept < worst.kept ? module : worst));
  return `${start}: ${shares.join(', ')}; least of ${least.path}, ${percent(least.kept)}.`;
}

/** How far a frozen route is from the routed adapter, as measured. */
function frozenLine(
  { maxLogitDifference, tokens }: ExportRecord['certificate'],
  { dataset, rows, kl, routedLoss, frozenLoss, keptVariance: kept, cutModules }: FrozenRoute,
): string {
  const losses =
    routedLoss === null || frozenLoss === null
      ? ''
      : ` Loss on these rows: ${routedLoss.toFixed(4)} routed, ${frozenLoss.toFixed(4)} frozen (nats per answer token).`;
  const cut = kept === undefined ? '' : ` ${cutSentence(kept, cutModules)}`;
  return `NOT the same function as the run: its route is held at the mean over ${rows} rows of “${dataset}”. Greatest logit difference ${maxLogitDifference.toExponential(1)} over ${tokens} tokens, mean KL ${kl.toExponential(1)} nats.${losses}${cut}`;
}
