import { describe, expect, it } from 'vitest';
import { mappingSchema, type Mapping } from '../../../src-main/contract/datasets/mapping.ts';
import {
  mappingKinds,
  mappingOf,
  missingRoles,
  rolesForKind,
  rolesOf,
  shownFields,
  valueAt,
  withRole,
} from '../../../src-renderer/features/data/mapping/roles.ts';

const full: Mapping[] = [
  {
    kind: 'prompt',
    prompt: 'a',
    input: 'b',
    answer: 'c',
    system: 'd',
    history: 'e',
    verbatim: true,
    task: 'f',
  },
  { kind: 'prompt', prompt: 'a' },
  { kind: 'chat', turns: 'a', system: 'b', tools: 'c', task: 'd' },
  { kind: 'preference', prompt: 'a', chosen: 'b', rejected: 'c', system: 'd', task: 'e' },
  { kind: 'choice', question: 'a', choices: ['b', 'c', 'd'], answer: 'e', system: 'f', task: 'g' },
  { kind: 'text', text: 'a', task: 'b' },
];

describe('roles of fields', () => {
  it.each(full)('say the same as a mapping: $kind', (mapping) => {
    const isVerbatim = 'verbatim' in mapping && mapping.verbatim === true;
    const again = mappingOf(mapping.kind, rolesOf(mapping), [...'abcdefg'], isVerbatim);
    expect(again).toEqual(mapping);
    expect(mappingSchema.parse(again)).toEqual(mapping);
  });

  it('belong to one field, but for choices, which stand in the order of the fields', () => {
    const roles = withRole(rolesOf({ kind: 'prompt', prompt: 'q', answer: 'a' }), 'b', 'answer');
    expect([...roles]).toEqual([
      ['q', 'prompt'],
      ['b', 'answer'],
    ]);
    expect([...withRole(roles, 'b', null)]).toEqual([['q', 'prompt']]);
    let choices = rolesOf({ kind: 'choice', question: 'q', choices: ['B'], answer: 'a' });
    choices = withRole(choices, 'A', 'choice');
    expect(mappingOf('choice', choices, ['q', 'A', 'B', 'a'], false)).toMatchObject({ choices: ['A', 'B'] });
  });

  it('are carried to another kind of row, and what is missing is named', () => {
    const roles = rolesOf({ kind: 'prompt', prompt: 'q', answer: 'a', history: 'h', system: 's' });
    const choice = rolesForKind(roles, 'choice');
    expect(Object.fromEntries(choice)).toEqual({ q: 'question', a: 'answer', s: 'system' });
    expect(missingRoles('choice', choice)).toEqual(['choice']);
    expect(mappingOf('choice', choice, [], false)).toBeNull();
    expect(Object.fromEntries(rolesForKind(roles, 'preference'))).toEqual({
      q: 'prompt',
      a: 'chosen',
      s: 'system',
    });
    for (const { kind } of mappingKinds)
      expect(missingRoles(kind, new Map())).toEqual(mappingKinds.find((one) => one.kind === kind)!.needed);
  });
});

describe('fields that are shown', () => {
  const row = { id: 1, question: { stem: 's', choices: [1] }, 'a.b': 'dotted' };

  it('are those within objects, in the order of the file, and what is read without being there', () => {
    expect(shownFields(['id', 'question', 'a.b'], [{ raw: row }, { raw: null }], [])).toEqual([
      'id',
      'question.stem',
      'question.choices',
      'a.b',
    ]);
    expect(shownFields(['id'], [], [{ kind: 'text', text: 'gone' }])).toEqual(['id', 'gone']);
    const many = Array.from({ length: 200 }, (_, i) => `c${i}`);
    const shown = shownFields(many, [], [{ kind: 'text', text: 'c150' }]);
    expect(shown).toHaveLength(60);
    expect(shown.at(-1)).toBe('c150');
  });

  it('are read by their names or through objects', () => {
    expect(valueAt(row, 'question.stem')).toBe('s');
    expect(valueAt(row, 'a.b')).toBe('dotted');
    expect(valueAt(row, 'question.none')).toBeUndefined();
    expect(valueAt(row, 'toString')).toBeUndefined();
  });
});
