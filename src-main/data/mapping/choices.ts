import type { MappingOf } from '../../contract/datasets/mapping.ts';
import type { Turn } from '../../contract/rows.ts';
import {
  asText,
  fieldOf,
  filledField,
  isObject,
  structureOf,
  UnusableRow,
  type SourceValue,
} from './fields.ts';

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';

interface Choice {
  label: string;
  text: string;
}

/** A question with its choices, of which one is right. */
export interface RowChoices {
  question: string;
  choices: string[];
  right: number;
}

/** What a row with choices asks. @throws UnusableRow */
export function choicesOfRow(row: SourceValue, mapping: MappingOf<'choice'>): RowChoices {
  const question = filledField(row, mapping.question).trim();
  const choices = choicesOf(row, mapping.choices);
  const right = chosenOf(row, mapping.answer, choices);
  return { question, choices: choices.map(({ text }) => text), right };
}

/**
 * A question with choices as a turn of the user and one of the assistant, in the form of lm-evaluation-harness: the
 * question, a line for each choice with its letter, and the letter as the answer.
 * @throws UnusableRow
 */
export function choiceTurns(row: SourceValue, mapping: MappingOf<'choice'>): [Turn, Turn] {
  const { question, choices, right } = choicesOfRow(row, mapping);
  const lines = choices.map((choice, i) => `${letters[i]}. ${choice}`);
  return [
    { role: 'user', content: [question, ...lines].join('\n') },
    { role: 'assistant', content: letters[right]! },
  ];
}

function choicesOf(row: SourceValue, columns: readonly string[]): Choice[] {
  const [first] = columns;
  const choices =
    columns.length > 1
      ? columns.map((column, i) => ({ label: letters[i]!, text: asText(fieldOf(row, column), column) }))
      : listedChoices(structureOf(fieldOf(row, first!)), first!);
  if (choices.length < 2 || choices.length > letters.length)
    throw new UnusableRow('choices', first, `${choices.length} choices`);
  return choices;
}

/** Choices of one field: texts, objects with label and text, an object with lists of both, or one with letters. */
function listedChoices(value: unknown, column: string): Choice[] {
  if (value === undefined) throw new UnusableRow('missing', column);
  if (value === null) throw new UnusableRow('null', column);
  if (Array.isArray(value))
    return value.map((entry: unknown, i) =>
      isObject(entry)
        ? { label: asText(entry['label'] ?? letters[i], column), text: asText(entry['text'], column) }
        : { label: letters[i] ?? '', text: asText(entry, column) },
    );
  if (!isObject(value)) throw new UnusableRow('choices', column, typeof value);
  const { label, text } = value;
  if (Array.isArray(text)) {
    if (Array.isArray(label) && label.length !== text.length)
      throw new UnusableRow('choices', column, `${label.length} labels for ${text.length} texts`);
    return text.map((entry: unknown, i) => ({
      label: Array.isArray(label) ? asText(label[i], column) : (letters[i] ?? ''),
      text: asText(entry, column),
    }));
  }
  return Object.entries(value).map(([key, entry]) => ({ label: key, text: asText(entry, column) }));
}

/** Which choice an answer names: by its label, by its number from 0, or by its text. */
function chosenOf(row: SourceValue, column: string, choices: readonly Choice[]): number {
  const answer = filledField(row, column).trim();
  const bare = answer.replace(/^\((.*)\)$/, '$1').replace(/[.)]$/, '');
  const byLabel = choices.findIndex(({ label }) => label.toUpperCase() === bare.toUpperCase());
  if (byLabel >= 0) return byLabel;
  if (/^\d+$/.test(bare) && Number(bare) < choices.length) return Number(bare);
  const byText = choices.findIndex(({ text }) => text.trim() === answer);
  if (byText >= 0) return byText;
  throw new UnusableRow('unknown_choice', column, answer);
}
