import { basename } from 'node:path';
import type { DatasetFormat, Example } from '../contract/entities.ts';
import { StudioError } from '../contract/errors.ts';
import { wrappedRows } from './foreignFiles.ts';
import { invalidRow, type RawRow } from './rows.ts';

/**
 * How rows of each format become prompt and answer. The trained text is prompt + answer, followed by the end token;
 * only answer and end token are labels.
 */
interface FormatReader {
  /** Fields by which the format is recognized. */
  matches(row: Record<string, unknown>): boolean;
  /** Throws a plain message for a field of the wrong kind and for an empty answer. */
  toExample(row: Record<string, unknown>): Example;
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
    toExample: (row) => ({
      prompt: `Question: ${text(row, 'question')}\nAnswer:`,
      answer: ` ${answerText(row, 'answer')}`,
    }),
  },
  /** Stanford Alpaca's two templates, without a newline behind "### Response:". */
  alpaca: {
    expects: '"instruction" and "output"',
    matches: (row) => 'instruction' in row && 'output' in row,
    toExample: (row) => ({
      prompt: alpacaPrompt(text(row, 'instruction'), optionalText(row, 'input')),
      answer: answerText(row, 'output'),
    }),
  },
  prompt_completion: {
    expects: '"prompt" and "completion" (or "response", "answer")',
    matches: (row) => 'prompt' in row && answerFields.some((field) => field in row),
    toExample: (row) => ({
      prompt: text(row, 'prompt'),
      answer: answerText(
        row,
        answerFields.find((field) => field in row)!,
      ),
    }),
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
    toExample: (row) => ({ prompt: '', answer: answerText(row, 'text') }),
  },
};

/** The format of a row by its fields, or null. */
export function detectFormat(row: Record<string, unknown>): DatasetFormat | null {
  const found = Object.entries(readers).find(([, reader]) => reader.matches(row));
  return (found?.[0] as DatasetFormat | undefined) ?? null;
}

/** The format of a file's rows by one of them. @throws StudioError dataset_invalid with the fields found and known */
export function formatOf(path: string, { number, value }: RawRow): DatasetFormat {
  const format = detectFormat(value);
  if (format) return format;
  const wrapped = number === 1 ? wrappedRows(path, value) : null;
  if (wrapped) throw wrapped;
  const known = Object.entries(readers).map(([name, { expects }]) => `${name}: ${expects}`);
  throw new StudioError(
    'dataset_invalid',
    `${basename(path)}, row ${number} has the fields ${Object.keys(value).slice(0, 10).join(', ') || '(none)'}, which fit no known format.`,
    `Known formats are ${known.join('; ')}. Rename the fields, or choose the format yourself.`,
  );
}

/**
 * A row as prompt and answer, with the number of its task where a field `task` has one.
 * @throws StudioError dataset_invalid: fields missing or of the wrong kind, or no answer
 */
export function toExample(path: string, row: RawRow, format: DatasetFormat): Example {
  const reader = readers[format];
  if (!reader.matches(row.value))
    throw invalidRow(
      path,
      row.number,
      `has the fields ${Object.keys(row.value).slice(0, 10).join(', ') || '(none)'}; the format ${format} needs ${reader.expects}`,
    );
  let example: Example;
  try {
    example = reader.toExample(row.value);
  } catch (error) {
    throw invalidRow(path, row.number, error instanceof Error ? error.message : String(error));
  }
  const { task } = row.value;
  return isTask(task) ? { ...example, task } : example;
}

/** Whether a field `task` is ours: a number of a task that an adapter can tell apart (contract/training.ts). */
export function isTask(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= largestTask;
}

export const largestTask = 1000;

/** Stanford Alpaca's prompt, with and without input. */
export function alpacaPrompt(instruction: string, input: string): string {
  const head = 'Below is an instruction that describes a task';
  const task = `### Instruction:\n${instruction}\n\n`;
  return input === ''
    ? `${head}. Write a response that appropriately completes the request.\n\n${task}### Response:`
    : `${head}, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n${task}### Input:\n${input}\n\n### Response:`;
}

function answerText(row: Record<string, unknown>, field: string): string {
  const value = text(row, field);
  if (value.trim() === '') throw new Error(`has an empty "${field}": there is no answer to learn`);
  return value;
}

function text(row: Record<string, unknown>, field: string): string {
  const value = row[field];
  if (typeof value === 'string') return value;
  throw new Error(`has a "${field}" that is ${value === null ? 'null' : typeof value}, not text`);
}

function optionalText(row: Record<string, unknown>, field: string): string {
  return row[field] === undefined || row[field] === null ? '' : text(row, field);
}

function chatExample(row: Record<string, unknown>): Example {
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
  const { content } = messages[last]!;
  if (content.trim() === '')
    throw new Error('has an empty last turn of the assistant: there is no answer to learn');
  return { prompt: `${prompt}assistant:`, answer: ` ${content}` };
}

/** ShareGPT's names of the roles. */
const roleNames: Record<string, string> = { human: 'user', gpt: 'assistant' };
