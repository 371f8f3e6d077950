import type { DatasetFormat, Example } from '../contract/entities.ts';
import type { Row, Turn } from '../contract/rows.ts';

/**
 * A row as prompt and answer where no model's template is at hand: in the frame that its format has by custom. The last
 * assistant turn is the answer, what stands before it the prompt.
 * @param format absent: the roles are the frame
 */
export function exampleOf(row: Row, format?: DatasetFormat): Example {
  const task = row.task === undefined ? {} : { task: row.task };
  switch (row.kind) {
    case 'verbatim':
      return { prompt: row.prompt, answer: row.answer, ...task };
    case 'text':
      return { prompt: '', answer: row.text, ...task };
    case 'chat':
      return { ...chatExample(row.turns, format), ...task };
  }
}

function chatExample(turns: readonly Turn[], format: DatasetFormat | undefined): Example {
  const last = turns.findLastIndex(({ role }) => role === 'assistant');
  const before = turns.slice(0, last < 0 ? undefined : last);
  const answer = last < 0 ? '' : turns[last]!.content;
  const [asked] = before;
  if (asked?.role === 'user' && before.length === 1)
    switch (format) {
      case 'gsm8k':
      case 'question_answer':
      case 'multiple_choice':
        return { prompt: `Question: ${asked.content}\nAnswer:`, answer: answer && ` ${answer}` };
      case 'alpaca':
        return { prompt: alpacaPrompt(asked.content, asked.input ?? ''), answer };
      case 'prompt_completion':
      case 'prompts':
        return { prompt: textOf(asked), answer };
      default:
    }
  const prompt = before.map((turn) => `${turn.role}: ${textOf(turn)}\n`).join('');
  return { prompt: `${prompt}assistant:`, answer: answer && ` ${answer}` };
}

function textOf({ content, input }: Turn): string {
  return input ? `${content}\n\n${input}` : content;
}

/** Stanford Alpaca's prompt, with and without input, without a newline behind "### Response:". */
export function alpacaPrompt(instruction: string, input: string): string {
  const head = 'Below is an instruction that describes a task';
  const task = `### Instruction:\n${instruction}\n\n`;
  return input === ''
    ? `${head}. Write a response that appropriately completes the request.\n\n${task}### Response:`
    : `${head}, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n${task}### Input:\n${input}\n\n### Response:`;
}
