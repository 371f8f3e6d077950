import { columnUses, type Mapping } from '../../contract/datasets/mapping.ts';
import type { DatasetFormat } from '../../contract/entities.ts';
import { choiceColumns, columnFor, plainName, type ColumnRole } from './columnNames.ts';
import { fieldOf, isObject, structureOf, type SourceValue } from './fields.ts';
import { mapRow } from './mapRow.ts';
import { isTurnList, writtenTurns } from './turns.ts';

/** What a dataset seems to be. */
export interface Detected {
  format: DatasetFormat;
  /** Each row is read by the first whose fields it has. */
  mappings: Mapping[];
  /** Why, in a sentence. */
  reason: string;
}

interface Found {
  format: DatasetFormat;
  mapping: Mapping;
  reason: string;
  /** No name says so: it counts where nothing else is found. */
  isGuess?: boolean;
}

/** Rows of one shape: the same fields. */
interface Shape {
  columns: string[];
  rows: SourceValue[];
}

/**
 * Which fields of some rows are what, by their names and what stands in them.
 * @param format the one that it must be; absent: any
 * @returns null where nothing fits any format
 */
export function detect(rows: readonly SourceValue[], format?: DatasetFormat): Detected | null {
  const found: (Found & { rows: number })[] = [];
  for (const shape of shapesOf(rows)) {
    const one = detectShape(shape, format);
    if (!one) continue;
    const same = found.find(({ mapping }) => JSON.stringify(mapping) === JSON.stringify(one.mapping));
    if (same) same.rows += shape.rows.length;
    else found.push({ ...one, rows: shape.rows.length });
  }
  const isAnswered = (prompt: string) =>
    found.some(({ mapping }) => mapping.kind === 'prompt' && mapping.answer && mapping.prompt === prompt);
  const kept = found.filter(({ mapping, isGuess }) => {
    // A row that lacks the answer of the others is no row of prompts.
    if (mapping.kind === 'prompt' && !mapping.answer) return !isAnswered(mapping.prompt);
    return !isGuess || found.length === 1;
  });
  const [first, ...others] = kept.sort((a, b) => specific(b) - specific(a) || b.rows - a.rows);
  if (!first) return null;
  const weight = ({ format: name, rows: count }: (typeof kept)[number]) => (name === 'prompts' ? 0 : count);
  const main = [first, ...others].reduce((most, one) => (weight(one) > weight(most) ? one : most));
  const rest = [first, ...others].filter((one) => one !== main).slice(0, 11);
  return {
    format: main.format,
    mappings: [...new Set([first, ...others].slice(0, 12).map(({ mapping }) => mapping))],
    reason: [main, ...rest].map(({ reason }) => reason).join(' Other rows: '),
  };
}

/** Mappings that need more fields come before those that would read the same rows with fewer. */
function specific({ mapping }: Found): number {
  return columnUses(mapping).length;
}

function shapesOf(rows: readonly SourceValue[]): Shape[] {
  const shapes = new Map<string, Shape>();
  for (const row of rows) {
    // A field that is null in this row counts: another row has it.
    const columns = Object.keys(row);
    const key = JSON.stringify([...columns].sort());
    const shape = shapes.get(key) ?? { columns, rows: [] };
    shape.rows.push(row);
    shapes.set(key, shape);
  }
  return [...shapes.values()].sort((a, b) => b.rows.length - a.rows.length).slice(0, 50);
}

const detectors: ((shape: Shape) => Found | null)[] = [
  chat,
  preference,
  humaneval,
  choice,
  promptAndAnswer,
  text,
  promptsAlone,
];

function detectShape(shape: Shape, format: DatasetFormat | undefined): Found | null {
  for (const detector of detectors) {
    const found = detector(shape);
    if (!found || (format !== undefined && !isFormat(found.format, format))) continue;
    const task = shape.columns.find((column) => plainName(column) === 'task');
    const isRead = columnUses(found.mapping).some(({ column }) => column === task);
    const mapping = task === undefined || isRead ? found.mapping : { ...found.mapping, task };
    return { ...found, mapping, format: format ?? found.format };
  }
  return null;
}

/** Formats that are read alike: what somebody names counts, not what it looks like. */
const alike: readonly (readonly DatasetFormat[])[] = [
  ['gsm8k', 'question_answer', 'prompt_completion', 'alpaca'],
  ['chat', 'sharegpt'],
];

function isFormat(found: DatasetFormat, wanted: DatasetFormat): boolean {
  return found === wanted || alike.some((group) => group.includes(found) && group.includes(wanted));
}

function chat({ columns, rows }: Shape): Found | null {
  const isTurns = (column: string) =>
    rows.some((row) => isTurnList(structureOf(fieldOf(row, column)))) && !isPair(column);
  const turns = columnFor('turns', columns, isTurns) ?? columns.find(isTurns);
  if (turns === undefined || columnFor('chosen', columns) !== undefined) return null;
  const first = rows.map((row) => structureOf(fieldOf(row, turns))).find(isTurnList) as SourceValue[];
  const isShareGpt = Object.hasOwn(first[0]!, 'from');
  return {
    format: isShareGpt ? 'sharegpt' : 'chat',
    mapping: {
      kind: 'chat',
      turns,
      ...role('system', columns),
      ...role('tools', columns),
    },
    reason: `"${turns}" is a list of turns with ${isShareGpt ? '"from" and "value" (ShareGPT)' : 'roles'}.`,
  };
}

function isPair(column: string): boolean {
  return columnFor('chosen', [column]) !== undefined || columnFor('rejected', [column]) !== undefined;
}

function preference({ columns, rows }: Shape): Found | null {
  const chosen = columnFor('chosen', columns);
  if (chosen === undefined) return null;
  const rejected = columnFor('rejected', columns);
  if (rejected === undefined) return null;
  const isWhole = rows.some((row) => {
    const value = structureOf(fieldOf(row, chosen));
    return typeof value === 'string' && writtenTurns(value) !== null;
  });
  const prompt = isWhole ? undefined : columnFor('prompt', columns);
  return {
    format: 'preference',
    mapping: {
      kind: 'preference',
      chosen,
      rejected,
      ...(prompt !== undefined && { prompt }),
      ...role('system', columns),
    },
    reason: `"${chosen}" and "${rejected}" are a pair of answers: the chosen one is learned, the other one kept.`,
  };
}

function humaneval({ columns }: Shape): Found | null {
  const has = ['task_id', 'prompt', 'canonical_solution', 'test'].every((name) => columns.includes(name));
  return has
    ? {
        format: 'humaneval',
        mapping: { kind: 'prompt', prompt: 'prompt', answer: 'canonical_solution', verbatim: true },
        reason:
          '"task_id", "prompt", "canonical_solution" and "test" are HumanEval’s: code that is continued.',
      }
    : null;
}

function choice({ columns, rows }: Shape): Found | null {
  const nested = columns.find((column) => rows.some((row) => hasStem(row[column])));
  if (nested !== undefined) {
    const answer = columnFor('choiceAnswer', columns);
    return answer === undefined
      ? null
      : choiceFound(`${nested}.stem`, [`${nested}.choices`], answer, columns);
  }
  const question = columnFor('prompt', columns, (column) => !isNumbers(rows, column));
  if (question === undefined) return null;
  const isList = (column: string) =>
    rows.some((row) => {
      const value = structureOf(fieldOf(row, column));
      return Array.isArray(value) || isObject(value);
    });
  const list = columnFor('choices', columns, isList);
  const choices = list === undefined ? choiceColumns(columns) : [list];
  const answer = columnFor('choiceAnswer', columns, (column) => !choices.includes(column));
  if (choices.length === 0 || answer === undefined) return null;
  return choiceFound(question, choices, answer, columns);
}

function hasStem(value: unknown): boolean {
  return isObject(value) && typeof value['stem'] === 'string' && Array.isArray(value['choices']);
}

function choiceFound(question: string, choices: string[], answer: string, columns: readonly string[]): Found {
  const named = choices.length === 1 ? `"${choices[0]}"` : `"${choices[0]}" to "${choices.at(-1)}"`;
  return {
    format: 'multiple_choice',
    mapping: { kind: 'choice', question, choices, answer, ...role('system', columns) },
    reason: `"${question}" is asked with the choices in ${named}, and "${answer}" says which one is right.`,
  };
}

function promptAndAnswer({ columns, rows }: Shape): Found | null {
  const isText = (column: string) => rows.some((row) => isSaid(fieldOf(row, column)));
  const prompt = columnFor('prompt', columns, isText) ?? columnFor('prompt', columns);
  if (prompt === undefined) return null;
  const others = columns.filter((column) => column !== prompt);
  const answer = columnFor('answer', others, isText) ?? columnFor('answer', others);
  // A label of a few words for every row is what the prompt is, not what is answered.
  if (answer === undefined || (plainName(answer) === 'label' && others.length > 1)) return null;
  const rest = others.filter((column) => column !== answer);
  const isInstruction = plainName(prompt).startsWith('instruction');
  const hasMarks = rows.some((row) => {
    const value = fieldOf(row, answer);
    return typeof value === 'string' && /\n#### -?[\d.,]+\s*$/.test(value);
  });
  const isQuestion = plainName(prompt) === 'question' && plainName(answer) === 'answer';
  const format = isInstruction
    ? 'alpaca'
    : isQuestion
      ? hasMarks
        ? 'gsm8k'
        : 'question_answer'
      : 'prompt_completion';
  const input = columnFor('input', rest);
  const isApart = input !== undefined && (isInstruction || plainName(input) === 'context');
  const same = rest.find((column) => rows.every((row) => row[column] === row[answer]));
  return {
    format,
    mapping: {
      kind: 'prompt',
      prompt,
      answer,
      ...(isApart && { input }),
      ...role('system', rest),
      ...role('history', rest),
    },
    reason:
      `"${prompt}" is answered by "${answer}"${format === 'gsm8k' ? ' with the result behind "####" (GSM8K)' : ''}.` +
      (same === undefined ? '' : ` "${same}" says the same.`),
  };
}

function text({ columns, rows }: Shape): Found | null {
  const isText = (column: string) => rows.some((row) => isSaid(fieldOf(row, column)));
  const named = columnFor('text', columns, isText);
  // A lone question or answer lacks the other one.
  const isHalf = columnFor('prompt', columns) !== undefined || columnFor('answer', columns) !== undefined;
  const isOnly = columns.length === 1 && !isHalf && !isNumbers(rows, columns[0]!);
  const found = named ?? (isOnly ? columns[0] : undefined);
  return found === undefined
    ? null
    : {
        isGuess: named === undefined,
        format: 'text',
        mapping: { kind: 'text', text: found },
        reason: `"${found}" is text that is trained as it is.`,
      };
}

function promptsAlone({ columns, rows }: Shape): Found | null {
  const isText = (column: string) => rows.some((row) => isSaid(fieldOf(row, column)));
  const prompt = columnFor('prompt', columns, isText);
  return prompt === undefined
    ? null
    : {
        format: 'prompts',
        mapping: { kind: 'prompt', prompt, ...role('system', columns) },
        reason: `"${prompt}" has no answer beside it: a model can be asked these, and not trained on them.`,
      };
}

function role<R extends ColumnRole>(name: R, columns: readonly string[]): Partial<Record<R, string>> {
  const column = columnFor(name, columns);
  return column === undefined ? {} : ({ [name]: column } as Record<R, string>);
}

function isSaid(value: unknown): boolean {
  return (typeof value === 'string' && value.trim() !== '') || typeof value === 'number';
}

function isNumbers(rows: readonly SourceValue[], column: string): boolean {
  return rows.every((row) => typeof fieldOf(row, column) !== 'string');
}

/** Fields of some rows that no mapping reads. */
export function unreadColumns(rows: readonly SourceValue[], mappings: readonly Mapping[]): string[] {
  const read = new Set(mappings.flatMap((mapping) => columnUses(mapping).map(({ column }) => column)));
  const columns = new Set(rows.flatMap((row) => Object.keys(row)));
  return [...columns].filter(
    (column) => !read.has(column) && ![...read].some((one) => one.startsWith(`${column}.`)),
  );
}

/** Of some rows, how many the mappings can read. */
export function usableShare(rows: readonly SourceValue[], mappings: readonly Mapping[]): number {
  return rows.filter((row) => mapRow(row, mappings).row !== null).length / Math.max(1, rows.length);
}
