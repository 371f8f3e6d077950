import { basename } from 'node:path';
import type { Split } from '../../contract/rows.ts';

const names: [RegExp, Split][] = [
  [/^(?:test|testing|tests|evaluation|eval|heldout)$/, 'test'],
  [/^(?:validation|valid|val|dev|development)$/, 'validation'],
  [/^(?:train|training|tr)$/, 'train'],
];

/** The part of the data that a file's name or folder states, the innermost one; null where none does. */
export function splitOfPath(path: string): { split: Split; stated: string } | null {
  const parts = path
    .replace(/\.[A-Za-z0-9.]{1,20}$/, '')
    .split(/[/\\]/)
    .reverse();
  for (const part of parts) {
    const words = part
      .replace(/([a-z])([A-Z])/g, '$1 $2')
      .toLowerCase()
      .split(/[^a-z]+/);
    for (const [pattern, split] of names) {
      const stated = words.find((word) => pattern.test(word));
      if (stated !== undefined) return { split, stated };
    }
  }
  return null;
}

/**
 * The subject of a file of MMLU, `high_school_physics` of `test/high_school_physics_test.csv`.
 * @returns isNamed: whether its name has the form of MMLU's, a subject and a part
 */
export function subjectOfFile(file: string): { subject: string; isNamed: boolean } {
  const bare = basename(file).replace(/\.\w+(\.gz)?$/, '');
  const subject = bare.replace(/[_-](test|dev|val|validation|auxiliary_train)$/, '');
  return { subject, isNamed: subject !== bare };
}
