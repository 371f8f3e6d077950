import { createHash } from 'node:crypto';
import type { JudgeInput } from '../../../contract/inputs.ts';
import type { EvaluationItem } from '../../../contract/results.ts';
import { evaluationBatch as batch } from '../../../budget/forecast/evaluation.ts';
import type { EngineEvent } from '../../../engine/messages.ts';
import type { BenchmarkItem } from '../../../evaluation/benchmarks/benchmark.ts';
import {
  verdictBegin,
  verdictOf,
  verdictStop,
  verdictTokens,
  type JudgeQuestion,
} from '../../../evaluation/graders/judge.ts';
import { answersOf } from '../../../formats/model/identity.ts';
import type { ServiceContext } from '../../context.ts';
import type { ModelService } from '../../models/models.ts';
import type { RunService } from '../../runs/runService.ts';
import { withTokenizerThread } from '../../tokenizer/tokenizerThread.ts';
import { sentPrompts, type AskedItem } from '../prompts.ts';
import { chatRendering, findSubject, type Subject } from '../subjects.ts';

/** A model that judges, and what it is asked. */
export interface LocalJudge {
  subject: Subject;
  name: string;
  /** Hash of everything that decides its verdicts: model, adapter, template and what it is asked. */
  identity: string;
  version: string;
}

/**
 * Finds the model that judges.
 * @throws StudioError not_found, config_invalid, no_checkpoint
 */
export async function findJudge(
  context: ServiceContext,
  models: ModelService,
  runs: RunService,
  { model, adapter, precision }: JudgeInput,
  version: string,
): Promise<LocalJudge> {
  const subject = findSubject(context, runs, await models.getOrAdd(model), adapter, precision);
  const { template } = chatRendering(context, subject.run);
  const parts = [answersOf(subject.identity), subject.adapterHash, template, version];
  return {
    subject,
    name: subject.name === 'base' ? subject.model.name : `${subject.model.name}, ${subject.name}`,
    identity: createHash('sha256').update(JSON.stringify(parts)).digest('hex'),
    version,
  };
}

/** What is said of an item whose answer is there and was not judged yet: it is kept, and not generated again. */
export const notJudgedYet = 'its answer was not judged yet';

/** Items with their answers are judged. @throws StudioError as the engine does; cancelled */
export async function judgeItems(
  context: ServiceContext,
  { judge, question }: { judge: LocalJudge; question: JudgeQuestion },
  items: readonly { asked: BenchmarkItem; item: EvaluationItem }[],
  options: { signal: AbortSignal; onItems(items: readonly EvaluationItem[]): void },
): Promise<EvaluationItem[]> {
  const prompts = items.map(({ asked, item }) => question.ask(asked, item.output ?? ''));
  const judged: EvaluationItem[] = [];
  await askJudge(context, judge, prompts, {
    signal: options.signal,
    onOutput(index, output) {
      const { asked, item } = items[index]!;
      const word = output === null ? null : verdictOf(output, question.words);
      const remark = output === null ? tooLong : `the judge said: ${output.trim().slice(0, 200)}`;
      const done: EvaluationItem =
        word === null
          ? { ...item, state: 'abstained', correct: null, answer: null, remark }
          : { ...item, state: 'graded', ...question.grade(asked, word), remark };
      judged.push(done);
      options.onItems([done]);
    },
  });
  return judged;
}

const tooLong = 'what the judge is asked does not fit into its context';

/**
 * Puts prompts to a judge, greedily.
 * @param options.onOutput gets what it said to each, in whatever order; null: the prompt does not fit into its context,
 *   and what is cut would be what it is asked
 */
export async function askJudge(
  context: ServiceContext,
  { subject }: Pick<LocalJudge, 'subject'>,
  prompts: readonly string[],
  options: {
    signal: AbortSignal;
    onOutput(index: number, output: string | null): void;
    onEvent?(event: EngineEvent): void;
  },
): Promise<void> {
  const { signal, onOutput, onEvent } = options;
  const asked = prompts.map((question, index): AskedItem => ({
    id: String(index),
    index,
    group: null,
    question,
    solution: '',
    target: '',
    shown: [],
    answerBegin: verdictBegin,
  }));
  const rendering = chatRendering(context, subject.run);
  const sent = await withTokenizerThread(signal, (thread) =>
    sentPrompts(thread, asked, { owner: subject.model, benchmark: { delimiter: '\n' }, rendering }),
  );
  const fitting = [...sent.ids.keys()].filter(
    (index) => sent.ids[index]!.length + verdictTokens <= subject.model.contextLength,
  );
  const fits = new Set(fitting);
  for (const index of sent.ids.keys()) if (!fits.has(index)) onOutput(index, null);
  if (fitting.length === 0) return;
  await context.engine.start(
    {
      kind: 'generate',
      model: subject.reference,
      prompts: fitting.map((index) => sent.ids[index]!),
      maxTokens: verdictTokens,
      temperature: 0,
      topP: 1,
      seed: 0,
      stop: [...verdictStop, ...sent.stop],
      endIds: sent.endIds,
      batch,
    },
    {
      signal,
      onEvent(event) {
        if (event.type === 'generated')
          for (const { index, row } of event.rows) onOutput(fitting[index]!, row.text);
        else onEvent?.(event);
      },
    },
  ).result;
}
