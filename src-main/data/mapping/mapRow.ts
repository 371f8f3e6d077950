import { neededColumns, type Mapping, type MappingOf } from '../../contract/datasets/mapping.ts';
import type { Unusable } from '../../contract/datasets/unusable.ts';
import { largestTask, type ChatRow, type Row, type Turn } from '../../contract/rows.ts';
import { choiceTurns } from './choices.ts';
import {
  fieldOf,
  filledField,
  optionalField,
  structureOf,
  textField,
  UnusableRow,
  type SourceValue,
} from './fields.ts';
import { historyField, isTurnList, turnsField, turnsOf, writtenTurns } from './turns.ts';

export type MappedRow = { row: Row; unusable: null } | { row: null; unusable: Unusable };

/** A row of a file as what it says: read by the first mapping whose fields it has. */
export function mapRow(value: SourceValue, mappings: readonly Mapping[]): MappedRow {
  try {
    const mapping = mappings.length === 1 ? mappings[0] : (fitting(value, mappings) ?? mappings[0]);
    if (!mapping)
      throw new UnusableRow('no_mapping', null, `fields: ${Object.keys(value).slice(0, 10).join(', ')}`);
    const row = rowOf(value, mapping);
    const task = mapping.task === undefined ? undefined : fieldOf(value, mapping.task);
    return { row: isTask(task) ? { ...row, task } : row, unusable: null };
  } catch (error) {
    if (error instanceof UnusableRow) return { row: null, unusable: error.why };
    throw error;
  }
}

/** The first mapping whose fields a row has, or the one of which it has most. */
function fitting(value: SourceValue, mappings: readonly Mapping[]): Mapping | null {
  let best: { mapping: Mapping; share: number } | null = null;
  for (const mapping of mappings) {
    const needed = neededColumns(mapping);
    const share = needed.filter((column) => fieldOf(value, column) !== undefined).length / needed.length;
    if (share === 1) return mapping;
    if (share > (best?.share ?? 0)) best = { mapping, share };
  }
  return best?.mapping ?? null;
}

/** Whether a value is the number of a task that an adapter can tell apart. */
export function isTask(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= largestTask;
}

function rowOf(value: SourceValue, mapping: Mapping): Row {
  switch (mapping.kind) {
    case 'prompt':
      return promptRow(value, mapping);
    case 'chat':
      return chatRow(value, mapping);
    case 'preference':
      return preferenceRow(value, mapping);
    case 'choice':
      return chat(value, mapping.system, [...choiceTurns(value, mapping)]);
    case 'text':
      return { kind: 'text', text: filledField(value, mapping.text) };
  }
}

function promptRow(value: SourceValue, mapping: MappingOf<'prompt'>): Row {
  const answer = mapping.answer === undefined ? undefined : filledField(value, mapping.answer);
  const input = optionalField(value, mapping.input);
  if (mapping.verbatim && answer !== undefined)
    return { kind: 'verbatim', prompt: textField(value, mapping.prompt), answer };
  const prompt = textField(value, mapping.prompt);
  const history = historyField(value, mapping.history);
  if (prompt.trim() === '' && input === undefined && history.length === 0) {
    if (answer === undefined) throw new UnusableRow('empty', mapping.prompt);
    // An answer to nothing is a text.
    return { kind: 'text', text: answer };
  }
  const asked: Turn =
    prompt.trim() === '' && input !== undefined
      ? { role: 'user', content: input }
      : { role: 'user', content: prompt, ...(input !== undefined && { input }) };
  return chat(value, mapping.system, [
    ...history,
    asked,
    ...(answer === undefined ? [] : [{ role: 'assistant' as const, content: answer }]),
  ]);
}

function chatRow(value: SourceValue, mapping: MappingOf<'chat'>): Row {
  const turns = turnsField(value, mapping.turns);
  const isAnswered = turns.some(
    ({ role, content, toolCalls }) => role === 'assistant' && (content.trim() !== '' || toolCalls),
  );
  if (!isAnswered) throw new UnusableRow('no_answer_turn', mapping.turns);
  const tools = mapping.tools === undefined ? undefined : structureOf(fieldOf(value, mapping.tools));
  const row = chat(value, mapping.system, turns);
  return Array.isArray(tools) && tools.length > 0 ? { ...row, tools } : row;
}

/** The chosen side is what is learned; the other one is kept with the row. */
function preferenceRow(value: SourceValue, mapping: MappingOf<'preference'>): Row {
  const asked = mapping.prompt === undefined ? [] : promptTurns(value, mapping.prompt);
  const chosen = answerTurns(value, mapping.chosen);
  if (!chosen.some(({ role, content }) => role === 'assistant' && content.trim() !== ''))
    throw new UnusableRow('no_answer_turn', mapping.chosen);
  // Where the whole conversation stands in `chosen`, the prompt only repeats its begin.
  const turns = chosen.some(({ role }) => role === 'user') ? chosen : [...asked, ...chosen];
  if (!turns.some(({ role }) => role === 'user')) throw new UnusableRow('no_turns', mapping.chosen);
  const row = chat(value, mapping.system, turns);
  const hasRejected = mapping.rejected !== undefined && fieldOf(value, mapping.rejected) != null;
  return hasRejected ? { ...row, rejected: lastAnswer(answerTurns(value, mapping.rejected!)) } : row;
}

function promptTurns(value: SourceValue, column: string): Turn[] {
  const found = structureOf(fieldOf(value, column));
  if (isTurnList(found)) return turnsOf(found, column);
  const text = filledField(value, column);
  return writtenTurns(text) ?? [{ role: 'user', content: text }];
}

function answerTurns(value: SourceValue, column: string): Turn[] {
  const found = structureOf(fieldOf(value, column));
  if (isTurnList(found)) return turnsOf(found, column);
  const text = filledField(value, column);
  return writtenTurns(text) ?? [{ role: 'assistant', content: text }];
}

/** The turns behind the last one of the user: what stands in place of the chosen answer. */
function lastAnswer(turns: readonly Turn[]): Turn[] {
  return turns.slice(turns.findLastIndex(({ role }) => role === 'user') + 1);
}

function chat(value: SourceValue, systemColumn: string | undefined, turns: Turn[]): ChatRow {
  const system = optionalField(value, systemColumn);
  const isSaid = system === undefined || turns[0]?.role === 'system';
  return { kind: 'chat', turns: isSaid ? turns : [{ role: 'system', content: system }, ...turns] };
}
