import { expect, it } from 'vitest';
import { z } from 'zod';
import { nameOf, parseCommand } from '../../src-main/cli/arguments.ts';
import { procedures } from '../../src-main/contract/procedures.ts';

/** Every call in which a person gives something its name. */
const naming = Object.entries(procedures).flatMap(([procedure, { input }]) =>
  input instanceof z.ZodObject
    ? ['name', 'title'].flatMap((field) => {
        const schema = (input.shape as Record<string, z.ZodType>)[field];
        return schema ? [[`${procedure}: ${field}`, schema] as const] : [];
      })
    : [],
);

it('knows the calls that name something', () => {
  expect(naming.map(([call]) => call)).toEqual(
    expect.arrayContaining([
      'runs.start: name',
      'datasets.add: name',
      'models.add: name',
      'studies.start: name',
    ]),
  );
});

it.each(naming)('%s has no spaces around it, and is not empty', (_, schema) => {
  expect(schema.parse(' my name ')).toBe('my name');
  for (const name of ['', '  ', 'x'.repeat(101)]) expect(schema.safeParse(name).success).toBe(false);
});

it('so does --name on the command line', () => {
  const given = (args: readonly string[], otherwise?: string) =>
    nameOf(parseCommand(args, { name: { type: 'string' } }).values, { otherwise });
  expect(given(['--name', ' my name '])).toBe('my name');
  expect(given([], 'from a file ')).toBe('from a file');
  expect(given([])).toBeUndefined();
  expect(() => given(['--name', ' '])).toThrow(/^--name " ": /);
});
