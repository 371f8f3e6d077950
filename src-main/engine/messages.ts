import type { BestEvaluation, DataContract, Environment } from '../contract/entities.ts';
import type { PlainError } from '../contract/errors.ts';
import type {
  EvalMetric,
  RouterLayout,
  RouterRecord,
  Sample,
  SourceMetric,
  StepMetric,
} from '../contract/runRecords.ts';
import type { ChosenRow, EngineRequest, EngineResults, GeneratedRow } from './protocol.ts';

/** The messages between a service and an engine process (Node child process, structured clone). */

/** One turn of a chat: every row is continued by the adapter of its column, all together. */
export interface ChatAsk {
  /** Events name it. */
  id: number;
  rows: readonly {
    column: number;
    prompt: readonly number[];
    /** Empty: the model's own. */
    endIds: readonly number[];
    stop: readonly string[];
  }[];
  maxTokens: number;
  /** 0: greedy. */
  temperature: number;
  topP: number;
  /** Every row draws from the same seed, so that equal columns say the same. */
  seed: number;
  task?: number;
}

/** An answer of a chat. */
export interface ChatRow extends Omit<GeneratedRow, 'end'> {
  /** `stopped`: it was interrupted. */
  end: GeneratedRow['end'] | 'stopped';
  /** Of its own answer, from when the first of all columns began. */
  tokensPerSecond: number;
}

/** What a job tells while it runs. */
export type EngineEvent =
  | {
      type: 'start';
      trainable: number;
      frozenExtra: number;
      base: number;
      totalSteps: number;
      /** First step to run: 1, or one after the checkpoint's. */
      firstStep: number;
      /** Steps skipped, and the best evaluation, before it. */
      skippedSteps: number;
      best: BestEvaluation | null;
      /** How bf16 matrices are multiplied; null: the run computes in f32. */
      products: Environment['products'];
      /** Into what parts its work is cut. */
      parts: Environment['parts'];
      /** Null: rows are not packed. */
      packing: DataContract['packing'];
    }
  | ({ type: 'step' } & StepMetric)
  /** A step that changed nothing. `reason`: for example `gradient norm Infinity`. */
  | { type: 'skipped'; step: number; lr: number; reason: string }
  | ({ type: 'eval' } & EvalMetric)
  /** Only where rows come from several sources; after the step or the evaluation that it belongs to. */
  | ({ type: 'sources' } & SourceMetric)
  | ({ type: 'sample' } & Sample)
  | ({ type: 'router'; layout: RouterLayout } & RouterRecord)
  | { type: 'checkpoint'; step: number; folder: string }
  /** Rows of `generate` that have ended, each once; `index`: in the request's prompts. */
  | { type: 'generated'; rows: { index: number; row: GeneratedRow }[] }
  /** A chat can be asked; `context`: tokens that a conversation has at most. */
  | { type: 'opened'; context: number }
  /** What columns of an ask have said so far, a few times a second. */
  | { type: 'answering'; ask: number; rows: { text: string; tokens: number }[] }
  /** The end of an ask; where it was interrupted, what was said until then stands. */
  | { type: 'answered'; ask: number; rows: ChatRow[] }
  /** Items of `choices` that are done, each once; `index`: in the request's items. */
  | { type: 'chosen'; rows: { index: number; row: ChosenRow }[] }
  | { type: 'progress'; label: string; done: number; total: number | null; secondsLeft?: number | null }
  | { type: 'log'; line: string };

/** Service to engine. */
export type EngineInbound =
  | { type: 'request'; request: EngineRequest }
  /** Train: stop after the current step, with a checkpoint or without. Others: abandon. */
  | { type: 'stop'; save: boolean }
  | ChatMessage;

/** To a chat that is open. */
export type ChatMessage =
  | { type: 'ask'; ask: ChatAsk }
  /** Ends the answers to that ask where they are. */
  | { type: 'interrupt'; ask: number };

/** Engine to service. */
export type EngineOutbound =
  | { type: 'ready' }
  | { type: 'event'; event: EngineEvent }
  | { type: 'result'; result: EngineResults[keyof EngineResults] }
  | { type: 'error'; error: PlainError };
