import type { BestEvaluation } from '../contract/entities.ts';
import type { WorkParts } from '../contract/forecast.ts';
import type { CutModule, ExportFormat, GgufType, PeftCheck, WeightType } from '../contract/results.ts';
import type { AdapterConfig, Precision, Quantization, TrainConfig } from '../contract/training.ts';
import type { BenchRequest, BenchResult } from './benchProtocol.ts';

/**
 * What a service may ask an engine process for, and what it answers; messages.ts has the envelopes. One engine process
 * runs one request at a time. Bulk data goes through files: token files in, checkpoints and safetensors out; only ids
 * and scalars travel here.
 */

/**
 * To be raised when the engine computes something else than before from the same files (not when it only becomes
 * faster): scores are kept by it.
 */
export const computationVersion = 1;

/** A base model, with an adapter or without. */
export interface ModelReference {
  /** Hugging Face folder. */
  folder: string;
  /** Hash of its weight files, where it is known: it takes long to find. */
  weightsSha256?: string;
  precision: Precision;
  /** How the weights of linear modules are kept; absent: in the compute type. */
  quantization?: Quantization;
  /** Folder with adapter_config.json and adapter_model.safetensors, or null for the base model. */
  adapterFolder: string | null;
}

export interface TrainRequest {
  kind: 'train';
  modelFolder: string;
  /** Hash of its weight files, where it is known: it takes long to find. */
  weightsSha256?: string;
  /** A plan of rows, or a token file, whose rows are trained in any order (data/mix/rowPlan.ts, openRows). */
  trainFile: string;
  /** Likewise, of the held-out rows; null: none. */
  heldOutFile: string | null;
  config: TrainConfig;
  /** Checkpoints go to `<checkpointFolder>/<step>/`; complete or absent. */
  checkpointFolder: string;
  /** Pivots are cached here by weight hash. */
  cacheFolder: string;
  /** Checkpoint to continue from, or null. */
  resumeFrom: string | null;
  /** How bf16 matrices were multiplied when the run began; absent: it begins, or computes in f32. */
  products?: 'native' | 'widened';
  /** Into what parts the work is cut, as the run was planned; absent: the fastest that suit device and base. */
  parts?: WorkParts;
  /** Folder of the adapter that a run without a checkpoint begins with; absent: a fresh one. */
  startFrom?: string;
  /** The prompts of `config.samples` through the run's template, and where their answers end; absent: as they stand. */
  samplePrompts?: {
    ids: readonly (readonly number[])[];
    /** Empty: the model's own. */
    endIds: readonly number[];
    stop: readonly string[];
  };
}

export interface GenerateRequest {
  kind: 'generate';
  model: ModelReference;
  prompts: readonly (readonly number[])[];
  maxTokens: number;
  /** 0: greedy. */
  temperature: number;
  topP: number;
  seed: number;
  /** Decoding of a row ends before the first of these strings in its text. */
  stop: readonly string[];
  /** Token ids that end a row; they are not part of the output. Empty: the model's own. */
  endIds: readonly number[];
  /** Rows decoded together. */
  batch: number;
  /** Task of all prompts, for an adapter that tells tasks apart; absent: 0. */
  task?: number;
  /**
   * What each prompt draws is seeded by its number; absent: by its place. Who asks for the rest of an interrupted
   * request gives the places there, so that the same tokens are drawn.
   */
  numbers?: readonly number[];
}

/**
 * Keeps one copy of a base model in memory with any number of adapters on it, and answers turn after turn
 * (`EngineInbound`, `ask`) until it is stopped.
 */
export interface ChatRequest {
  kind: 'chat';
  model: Omit<ModelReference, 'adapterFolder'>;
  /** The columns; null: the base alone. */
  adapterFolders: readonly (string | null)[];
  /** Tokens of a conversation with its next answer at most; the model's own context is the limit. */
  context: number;
}

/** A question with its answers. */
export interface ChoiceItem {
  prompt: readonly number[];
  /** What continues the prompt in each answer. */
  choices: readonly (readonly number[])[];
}

/** Log-likelihoods of the answers of multiple choice. */
export interface ChoicesRequest {
  kind: 'choices';
  model: ModelReference;
  items: readonly ChoiceItem[];
  /** Items computed together at most. */
  batch: number;
  /** Task of all items, for an adapter that tells tasks apart; absent: 0. */
  task?: number;
}

export interface ScoreRequest {
  kind: 'score';
  model: ModelReference;
  /** Rows whose trained tokens are scored, each as of its task. */
  tokenFile: string;
  batch: number;
}

export interface LogitsRequest {
  kind: 'logits';
  model: ModelReference;
  ids: readonly number[];
  /** Task, for an adapter that tells tasks apart; absent: 0. */
  task?: number;
  /** A safetensors file with one f32 tensor `logits` [T, V]. */
  outFile: string;
}

export interface ProbeRequest {
  kind: 'probe';
  /** The process prints why it takes no GPU, and what else TensorFlow warns of; absent: no. */
  verbose?: boolean;
}

/** Mean weights of the experts of a routed adapter over the tokens of the rows of a file. */
export interface RouteRequest {
  kind: 'route';
  model: ModelReference;
  tokenFile: string;
  /** Rows computed at once. */
  batch: number;
}

/** Module by module. */
export interface RouteResult {
  sites: { path: string; weights: number[] }[];
  /** Over how many tokens. */
  tokens: number;
}

/**
 * Writes what a checkpoint holds as a folder of its own: `peft` (layout of method.md), `merged`, a Hugging Face
 * model, `lora`, a LoRA for PEFT with the route of a routed adapter frozen, or for
 * llama.cpp a LoRA (`gguf-lora`) or a whole model (`gguf`).
 */
export interface ExportRequest {
  kind: 'export';
  format: ExportFormat;
  modelFolder: string;
  /** What the files call the base model: no path of this machine. */
  baseName: string;
  checkpoint: string;
  /** The run's: adapters are exported as `peft`, full fine-tuning as `merged`. */
  adapter: AdapterConfig;
  /** The run's: the model card of an adapter says so. */
  quantization: Quantization;
  outFolder: string;
  /** Of `peft` with ID-LoRA: the rows of the base that its indices name lie beside them. */
  embedPivots?: boolean;
  /** Of `merged`: the type of all weights; absent: as the base stores them. */
  dtype?: WeightType;
  /** Of `merged`: most bytes in one file; absent: Hugging Face's usual 5 GB. */
  shardBytes?: number;
  /** Of `lora`: updates of a higher rank are cut to this one. */
  rank?: number;
  /** Of `lora`, and of the others but `peft` for a routed adapter: the route at which it is frozen. */
  route?: RouteResult['sites'];
  /** Of `gguf`: how matrices are stored, and the chat template (Jinja). */
  storedAs?: GgufType;
  chatTemplate?: string | null;
  /** Of files in GGUF: a folder to make, in which they lie as the studio reads them, for the certificate. */
  readBack?: string;
  /** Of `gguf-lora`: where the base goes as a GGUF file in F32, for other software that is to read both. */
  baseFile?: string;
  /** What the files of GGUF call what was trained, and the licence of its base; null: it states none. */
  title?: { name: string; licence: string | null };
}

/**
 * Writes into a folder what another trainer needs to do the steps of a run: the rows as tokens and as text, their order
 * and the learning rate of each step, and the adapter as it starts.
 */
export interface HandOverRequest {
  kind: 'handOver';
  modelFolder: string;
  /** Hash of its weight files, where it is known: it takes long to find. */
  weightsSha256?: string;
  /** What the files call the base model: no path of this machine. */
  baseName: string;
  /** As of `TrainRequest`. */
  trainFile: string;
  heldOutFile: string | null;
  config: TrainConfig;
  cacheFolder: string;
  /** An empty folder. */
  outFolder: string;
}

/** What such a folder has the other trainer do. */
export interface HandOverResult {
  totalSteps: number;
  /** Rows of the file, and of them held-out ones. */
  rows: number;
  heldOutRows: number;
  /** Null for full fine-tuning, which trains every parameter. */
  trainable: number | null;
  frozenExtra: number;
  /** SHA-256 of the base's weights. */
  baseSha256: string;
}

/** Checks an adapter from elsewhere against its base, and writes it as a run's checkpoint (f32, canonical names). */
export interface AdoptRequest {
  kind: 'adopt';
  modelFolder: string;
  /** Hash of its weight files, where it is known: it takes long to find. */
  weightsSha256?: string;
  adapterFolder: string;
  /** Complete or absent. */
  checkpointFolder: string;
  /** What it is the state of, where that is known: a run that was handed over. Absent: step 0 of a run of its own. */
  handed?: { step: number; adapter: AdapterConfig; quantization: Quantization };
}

/** Likewise of full fine-tuning: the weights that it reached as a checkpoint. */
export interface AdoptModelRequest {
  kind: 'adoptModel';
  modelFolder: string;
  weightsSha256?: string;
  trainedFolder: string;
  /** Complete or absent. */
  checkpointFolder: string;
  step: number;
}

export interface AdoptResult {
  /** Its options as they apply to the model. */
  adapter: AdapterConfig;
  trainable: number;
  frozenExtra: number;
  /** Weights of the base that were saved beside it, unchanged. */
  sameWeights: string[];
}

export type EngineRequest =
  | TrainRequest
  | HandOverRequest
  | GenerateRequest
  | ChatRequest
  | ChoicesRequest
  | ScoreRequest
  | RouteRequest
  | LogitsRequest
  | ProbeRequest
  | ExportRequest
  | AdoptRequest
  | AdoptModelRequest
  | BenchRequest;

export interface TrainResult {
  /** `done`: all steps; `early_stopped`: the held-out loss fell no more; `stopped`: a stop was asked for. */
  outcome: 'done' | 'early_stopped' | 'stopped';
  step: number;
  lastLoss: number | null;
  /** The last complete checkpoint, or null where a stop without saving came before the first. */
  checkpoint: string | null;
  /** Steps that changed nothing because loss or gradient were not finite. */
  skippedSteps: number;
  /** The evaluation with the lowest held-out loss, or null. */
  best: BestEvaluation | null;
  /** Greatest resident memory of the process, TensorFlow and Node included. */
  peakMemoryBytes: number;
}

export interface GeneratedRow {
  ids: number[];
  text: string;
  /** Why it ended. */
  end: 'stop' | 'end_id' | 'length' | 'context';
}

export interface GenerateResult {
  rows: GeneratedRow[];
  /** New tokens of all rows per second of decoding, without the prompts. */
  tokensPerSecond: number;
  /** Greatest resident memory of the process, TensorFlow and Node included. */
  peakMemoryBytes: number;
}

export interface ChatResult {
  /** Greatest resident memory of the process, TensorFlow and Node included. */
  peakMemoryBytes: number;
}

/** One entry a choice. */
export interface ChosenRow {
  /** Sum of log p over the tokens of the choice, given the prompt (nats). */
  logLikelihoods: number[];
  /** Whether each of its tokens is the most likely one. */
  greedy: boolean[];
}

export interface ChoicesResult {
  /** One entry an item, in their order. */
  rows: ChosenRow[];
  /** Greatest resident memory of the process, TensorFlow and Node included. */
  peakMemoryBytes: number;
}

export interface ScoreResult {
  /** One entry a row, in file order: sum of -log p over the trained tokens (nats), and their number. */
  rows: { lossSum: number; tokens: number; greedy: boolean }[];
  /** Greatest resident memory of the process, TensorFlow and Node included. */
  peakMemoryBytes: number;
}

export interface LogitsResult {
  tokens: number;
  vocabulary: number;
}

export interface ProbeResult {
  tensorflow: string;
  binding: string;
  devices: string[];
}

export interface ExportResult {
  files: string[];
  /** The type with the fewest bits among the exported tensors, as safetensors names it. */
  dtype: string;
  /** What the files mean to PEFT; null where it has no such method. */
  peft: PeftCheck | null;
  /** Rows of merged weights against plain arithmetic; null where nothing was merged. */
  merged: PeftCheck | null;
  /** Of `lora` with a rank to cut to: the modules that had a higher one; null: none was asked for. */
  cutModules: CutModule[] | null;
  /** What the model folder that others load with it, or that it is, says twice and differently. */
  contradictions: string[];
  /** Where the software that the files are for computes something else; absent: nowhere. */
  notes?: string[];
}

/** The answer of each kind of request. */
export interface EngineResults {
  train: TrainResult;
  handOver: HandOverResult;
  generate: GenerateResult;
  chat: ChatResult;
  choices: ChoicesResult;
  score: ScoreResult;
  route: RouteResult;
  logits: LogitsResult;
  probe: ProbeResult;
  export: ExportResult;
  adopt: AdoptResult;
  adoptModel: { trainable: number };
  bench: BenchResult;
}
