import { z } from 'zod';

/**
 * Every failure a person or a script can meet, by a stable code. Codes are part of the command line's
 * interface (`{"error":{code,message,remedy}}`), so they are added to, never renamed.
 */
export const errorCodes = [
  'usage', // the call itself is wrong: unknown option, value out of range
  'not_found', // a named model, dataset, run or file does not exist
  'name_taken',
  'model_invalid', // a model folder that is damaged or incomplete
  'model_changed', // the model's files are no longer those that something was made with
  'model_unsupported', // intact, but an architecture or option the engine does not have
  'tokenizer_mismatch', // tokenizer and config.json disagree
  'dataset_invalid',
  'dataset_empty',
  'adapter_invalid',
  'archive_invalid', // a project's archive that is damaged, cut off, or holds what does not belong in one
  'config_invalid', // options that cannot go together for this model
  'number_ambiguous', // a number of an imported file that programs mean differently: which is meant must be said
  'busy', // what is asked for waits for something that is under way
  'in_use', // something else still needs what is to be removed or changed
  'no_checkpoint', // the run has kept nothing yet from which it can be used or go on
  'runs_failed', // some of the runs that were started together did not end well
  'loss_not_finite',
  'out_of_memory',
  'does_not_fit', // the forecast says that memory will not suffice; it can be started anyway
  'disk_full',
  'hub_unreachable', // no network, the Hub does not answer, or it is switched off
  'hub_denied', // gated or private: terms or an access token are needed
  'hub_rate_limited',
  'hub_invalid', // an answer of the Hub that cannot be trusted or used
  'home_locked', // another studio process owns the data folder
  'store_from_future', // database written by a newer version
  'runtime_missing', // no TensorFlow: `doctor --fix` repairs
  'sandbox_missing', // no place on this machine in which generated code can do no harm
  'consent_missing', // generated code is run only after the user agreed to it
  'engine_died',
  'core_died', // the process that owns the data folder ended while a window was open
  'core_silent', // it runs, and does not answer
  'update_unavailable', // the address of newer versions does not answer, or not with a release
  'cancelled',
  'internal',
] as const;

export const errorCodeSchema = z.enum(errorCodes);
export type ErrorCode = z.infer<typeof errorCodeSchema>;

/** Where an option stands in a training configuration, as Zod's `path`: ['adapter', 'rank'] or ['warmupSteps']. */
export const optionPathSchema = z.array(z.union([z.string(), z.number()])).readonly();
export type OptionPath = z.infer<typeof optionPathSchema>;

/** The one plain, cloneable form in which an error crosses a process or network boundary. */
export const plainErrorSchema = z.object({
  code: errorCodeSchema,
  /** What happened, with the offending value and the limit. */
  message: z.string(),
  /** What to do about it. */
  remedy: z.string(),
  /** The option that it concerns; absent where it concerns none, or several alike. */
  option: optionPathSchema.optional(),
});
export type PlainError = z.infer<typeof plainErrorSchema>;

/** An error with a stable code, what happened (with the value) and what to do about it. */
export class StudioError extends Error {
  override readonly name = 'StudioError';
  readonly code: ErrorCode;
  readonly remedy: string;
  /** The option of a training configuration that it concerns. */
  readonly option: OptionPath | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    remedy: string,
    { cause, option }: { cause?: unknown; option?: OptionPath | undefined } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.remedy = remedy;
    this.option = option;
  }

  toPlain(): PlainError {
    const { code, message, remedy, option } = this;
    return { code, message, remedy, ...(option && { option }) };
  }

  static fromPlain({ code, message, remedy, option }: PlainError): StudioError {
    return new StudioError(code, message, remedy, { option });
  }
}

/**
 * The plain form of anything that was thrown. System errors with a well-known cause (full disk, missing file)
 * get their own code; everything else is `internal` with the original message kept.
 */
export function toPlainError(thrown: unknown): PlainError {
  if (thrown instanceof StudioError) return thrown.toPlain();
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const systemCode =
    typeof thrown === 'object' && thrown !== null && 'code' in thrown ? String(thrown.code) : '';
  if (systemCode === 'ENOSPC' || systemCode === 'SQLITE_FULL' || systemCode === 'EDQUOT')
    return {
      code: 'disk_full',
      message: `The disk is full: ${message}`,
      remedy: 'Free some space, or choose another data folder with --home DIR, then try again.',
    };
  if (systemCode === 'EROFS' || systemCode === 'EACCES')
    return {
      code: 'not_found',
      message:
        systemCode === 'EROFS'
          ? `The disk is read-only: ${message}`
          : `The system does not allow it: ${message}`,
      remedy: 'Choose a folder that can be read and written, or have its permissions changed.',
    };
  if (systemCode === 'ENOENT')
    return {
      code: 'not_found',
      message: `File or folder not found: ${message}`,
      remedy: 'Check the path and try again.',
    };
  return {
    code: 'internal',
    message,
    remedy: 'This is a defect of the studio: please report it with the log.',
  };
}
