import type { DatasetFormat, Example } from '../contract/entities.ts';
import { invalidRow } from './rows.ts';

/**
 * How rows of each format become prompt and answer. The trained text is prompt + answer, followed by the end token;
 * only answer and end token are labels.
 */
interface FormatReader {
  /** Fields by which the format is recognized. */
  matches(row: Record<string, unknown>): boolean;
  /** Null: the row has no answer. Throws a plain message for a field of the wrong kind. */
  toExample(row: Record<string, unknown>): Example | null;
  /** Fields that a row must have, for messages. */
  expects: string;
}

/** Names of the answer beside "prompt". */
const answerFields = ['completion', 'response', 'answer'];

/** In the order in which they are tried. */
const readers: Record<DatasetFormat, FormatReader> = {
  /** GSM8K; prompt as lm-evaluation-harness writes it. */
  gsm8k: {
    expects: '"question" and "answer"',
    matches: (row) => 'question' in row && 'answer' in row,
    toExample: (row) => withAnswer(`Question: ${text(row, 'question')}\nAnswer:`, ` ${text(row, 'answer')}`),
  },
  /** Stanford Alpaca's two templates, without a newline behind "### Response:". */
  alpaca: {
    expects: '"instruction" and "output"',
    matches: (row) => 'instruction' in row && 'output' in row,
    toExample: (row) =>
      withAnswer(alpacaPrompt(text(row, 'instruction'), optionalText(row, 'input')), text(row, 'output')),
  },
  prompt_completion: {
    expects: '"prompt" and "completion" (or "response", "answer")',
    matches: (row) => 'prompt' in row && answerFields.some((field) => field in row),
    toExample: (row) =>
      withAnswer(
        text(row, 'prompt'),
        text(
          row,
          answerFields.find((field) => field in row)!,
        ),
      ),
  },
  /** The last assistant turn is the answer, everything before it the prompt. */
  chat: {
    expects: '"messages" with "role" and "content"',
    matches: (row) => Array.isArray(row['messages']) || Array.isArray(row['conversations']),
    toExample: chatExample,
  },
  text: {
    expects: '"text"',
    matches: (row) => 'text' in row,
    toExample: (row) => withAnswer('', text(row, 'text')),
  },
};

/** The format of a row by its fields, or null. */
export function detectFormat(row: Record<string, unknown>): DatasetFormat | null {
  const found = Object.entries(readers).find(([, reader]) => reader.matches(row));
  return (found?.[0] as DatasetFormat | undefined) ?? null;
}

/** All formats with their fields, for messages. */
export function describeFormats(): string {
  return Object.entries(readers)
    .map(([name, { expects }]) => `${name}: ${expects}`)
    .join('; ');
}

/**
 * A row as prompt and answer, with the number of its task where a field `task` has one.
 * @throws StudioError dataset_invalid: fields missing or of the wrong kind, no answer, or a task that is no whole
 * number
 */
export function toExample(
  path: string,
  row: { number: number; value: Record<string, unknown> },
  format: DatasetFormat,
): Example {
  const reader = readers[format];
  if (!reader.matches(row.value))
    throw invalidRow(
      path,
      row.number,
      `has the fields ${Object.keys(row.value).slice(0, 10).join(', ') || '(none)'}; the format ${format} needs ${reader.expects}`,
    );
  let example: Example | null;
  try {
    example = reader.toExample(row.value);
  } catch (error) {
    throw invalidRow(path, row.number, error instanceof Error ? error.message : String(error));
  }
  if (!example) throw invalidRow(path, row.number, 'has no answer (the field is empty)');
  const task = row.value['task'];
  // A task in words is a field of somebody else's: only a number is ours.
  if (typeof task !== 'number') return example;
  if (!Number.isInteger(task) || task < 0 || task > largestTask)
    throw invalidRow(
      path,
      row.number,
      `has the task ${task}; tasks are whole numbers from 0 to ${largestTask}`,
    );
  return { ...example, task };
}

/** As many tasks as an adapter can tell apart (contract/training.ts). */
const largestTask = 1000;

/** Stanford Alpaca's prompt, with and without input. */
export function alpacaPrompt(instruction: string, input: string): string {
  const head = 'Below is an instruction that describes a task';
  const task = `### Instruction:\n${instruction}\n\n`;
  return input === ''
    ? `${head}. Write a response that appropriately completes the request.\n\n${task}### Response:`
    : `${head}, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n${task}### Input:\n${input}\n\n### Response:`;
}

function withAnswer(prompt: string, answer: string): Example | null {
  return answer.trim() === '' ? null : { prompt, answer };
}

function text(row: Record<string, unknown>, field: string): string {
  const value = row[field];
  if (typeof value === 'string') return value;
  throw new Error(`has a "${field}" that is ${value === null ? 'null' : typeof value}, not text`);
}

function optionalText(row: Record<string, unknown>, field: string): string {
  return row[field] === undefined || row[field] === null ? '' : text(row, field);
}

function chatExample(row: Record<string, unknown>): Example | null {
  const turns = (row['messages'] ?? row['conversations']) as unknown[];
  const messages = turns.map((turn) => {
    const entry = (typeof turn === 'object' && turn !== null ? turn : {}) as Record<string, unknown>;
    const role = text(entry, 'role' in entry ? 'role' : 'from');
    return { role: roleNames[role] ?? role, content: text(entry, 'content' in entry ? 'content' : 'value') };
  });
  const last = messages.findLastIndex(({ role }) => role === 'assistant');
  if (last < 0) throw new Error('has no assistant turn to learn from');
  const prompt = messages
    .slice(0, last)
    .map(({ role, content }) => `${role}: ${content}\n`)
    .join('');
  return withAnswer(`${prompt}assistant:`, ` ${messages[last]!.content}`);
}

/** ShareGPT's names of the roles. */
const roleNames: Record<string, string> = { human: 'user', gpt: 'assistant' };
