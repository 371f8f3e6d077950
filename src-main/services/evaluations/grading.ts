import type { CodeExecution, HumanEvalReport } from '../../contract/evaluation/grading.ts';
import { StudioError } from '../../contract/errors.ts';
import type { ProcedureHandlers, ProcedureParsedInput } from '../../contract/procedures.ts';
import { gradeHumanEval, readHumanEval, readSamples } from '../../evaluation/graders/humanEval.ts';
import { isCodeAllowed, keepConsent } from '../../evaluation/sandbox/consent.ts';
import { findSandbox } from '../../evaluation/sandbox/findSandbox.ts';
import type { Sandbox } from '../../evaluation/sandbox/sandbox.ts';
import type { ServiceContext } from '../context.ts';
import { typedPath } from '../homePaths.ts';
import { withProgress } from '../progress.ts';

export interface GradingService {
  /** Whether the user agreed that generated code is run, and in which sandbox; tries it. */
  codeExecution(signal: AbortSignal): Promise<CodeExecution>;
  /** Keeps what the user decided. */
  allowCodeExecution(isAllowed: boolean): void;
  /** Agrees for as long as this process runs: a word on the command line is none for later. */
  allowForNow(): void;
  /**
   * The sandbox for a benchmark that runs generated code.
   * @throws StudioError consent_missing before anything is run; sandbox_missing
   */
  sandbox(signal: AbortSignal): Promise<Sandbox>;
  /** @throws StudioError consent_missing, sandbox_missing, dataset_invalid, cancelled */
  gradeHumanEval(
    input: ProcedureParsedInput<'evaluations.gradeHumanEval'>,
    signal: AbortSignal,
  ): Promise<HumanEvalReport>;
}

/** Between two reports. */
const intervalMs = 250;

export function createGradingService(context: ServiceContext): GradingService {
  const { paths } = context;
  let isAllowedForNow = false;

  async function sandbox(signal: AbortSignal): Promise<Sandbox> {
    if (!isAllowedForNow && !isCodeAllowed(paths.codeExecution))
      throw new StudioError(
        'consent_missing',
        'This runs programs that a model wrote, and you have not agreed to that yet.',
        'Agree to it in Settings, under generated code, or by `settings code-execution allow`: programs run in a sandbox without network and files.',
      );
    return findSandbox(signal);
  }

  return {
    sandbox,
    async codeExecution(signal) {
      return { isAllowed: isCodeAllowed(paths.codeExecution), ...(await describeSandbox(signal)) };
    },
    allowCodeExecution: (isAllowed) => keepConsent(paths.codeExecution, isAllowed),
    allowForNow() {
      isAllowedForNow = true;
    },
    async gradeHumanEval({ path, samples: samplesPath, k, timeoutSeconds }, signal) {
      const tasks = readHumanEval(typedPath(path));
      const samples = readSamples(typedPath(samplesPath), tasks);
      return withProgress(context, 'grade humaneval', 'Trying the sandbox', async (report) => {
        let last = 0;
        const onProgress = (done: number, total: number) => {
          if (done < total && Date.now() - last < intervalMs) return;
          last = Date.now();
          report('Running the programs', done, total);
        };
        return gradeHumanEval(await sandbox(signal), tasks, samples, {
          k,
          timeoutSeconds,
          signal,
          onProgress,
        });
      });
    },
  };
}

/** Which sandbox works on this machine, or why none does. */
export async function describeSandbox(
  signal: AbortSignal,
): Promise<Pick<CodeExecution, 'sandbox' | 'problem'>> {
  try {
    const { kind, description } = await findSandbox(signal);
    return { sandbox: { kind, description }, problem: null };
  } catch (error) {
    if (!(error instanceof StudioError) || error.code !== 'sandbox_missing') throw error;
    return { sandbox: null, problem: { message: error.message, remedy: error.remedy } };
  }
}

/** What callers ask of it. */
export const gradingHandlers = (grading: GradingService) =>
  ({
    'evaluations.codeExecution': (_input, { signal }) => grading.codeExecution(signal),
    'evaluations.allowCodeExecution': ({ isAllowed }, { signal }) => {
      grading.allowCodeExecution(isAllowed);
      return grading.codeExecution(signal);
    },
    'evaluations.gradeHumanEval': (input, { signal }) => grading.gradeHumanEval(input, signal),
  }) satisfies Partial<ProcedureHandlers>;
