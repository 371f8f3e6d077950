import type { Mapping } from '../../contract/datasets/mapping.ts';
import type { Unusable } from '../../contract/datasets/unusable.ts';
import type { DatasetFormat } from '../../contract/entities.ts';
import { contentKey } from '../../formats/files/tokenFile.ts';
import { fieldOf, type SourceValue } from '../mapping/fields.ts';
import { isTask, mapRow } from '../mapping/mapRow.ts';
import { exampleOf } from '../rowExample.ts';
import { rowKey } from '../rowKeys.ts';

/** Changes when facts of the same row are others than before: files of another version are not read. */
export const factsVersion = 1;

/** What one row adds to all that is counted of a dataset. */
export interface RowFacts {
  /** By which it is recognized elsewhere (rowKeys.ts). */
  key: number;
  /** 53 bits of a hash of all that it says: rows with the same one are the same. */
  content: number;
  promptCharacters: number;
  answerCharacters: number;
  /** False: a model can be asked it, and not trained on it. */
  isAnswered: boolean;
  /** Its field `task` as JSON, where that is no number of a task. */
  foreignTask: string | null;
  /** Why it cannot be used; all else says nothing then. */
  unusable: Unusable | null;
}

/** Where a row came from. */
export interface RowPlace {
  file: string;
  number: number;
}

/** The facts of a row as mappings read it. */
export function factsOf(value: SourceValue, mappings: readonly Mapping[], format: DatasetFormat): RowFacts {
  const { row, unusable } = mapRow(value, mappings);
  if (unusable)
    return {
      key: 0,
      content: 0,
      promptCharacters: 0,
      answerCharacters: 0,
      isAnswered: false,
      foreignTask: null,
      unusable,
    };
  const { prompt, answer } = exampleOf(row, format);
  const task = fieldOf(value, mappings[0]?.task ?? 'task');
  return {
    key: rowKey(row),
    content: contentKey(JSON.stringify(row)),
    promptCharacters: prompt.length,
    answerCharacters: answer.length,
    isAnswered: row.kind !== 'chat' || row.turns.some(({ role }) => role === 'assistant'),
    foreignTask:
      task === undefined || task === null || isTask(task) ? null : JSON.stringify(task).slice(0, 100),
    unusable: null,
  };
}
