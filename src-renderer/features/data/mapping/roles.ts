import type { Mapping } from '../../../../src-main/contract/datasets/mapping.ts';

export type MappingKind = Mapping['kind'];

/** What a field of a row can be. */
export type Role =
  | 'prompt'
  | 'input'
  | 'answer'
  | 'system'
  | 'history'
  | 'turns'
  | 'tools'
  | 'chosen'
  | 'rejected'
  | 'question'
  | 'choice'
  | 'text'
  | 'task';

/** What each role is called in the head of a column. */
export const roleLabels: Readonly<Record<Role, string>> = {
  prompt: 'prompt',
  input: 'input of the prompt',
  answer: 'answer',
  system: 'system text',
  history: 'history',
  turns: 'turns',
  tools: 'tools',
  chosen: 'chosen answer',
  rejected: 'rejected answer',
  question: 'question',
  choice: 'choice',
  text: 'text',
  task: 'number of the task',
};

/** What rows can be; the roles of their fields, those first that they cannot do without. */
export const mappingKinds: readonly {
  kind: MappingKind;
  label: string;
  needed: readonly Role[];
  others: readonly Role[];
}[] = [
  {
    kind: 'prompt',
    label: 'Prompt and answer',
    needed: ['prompt'],
    others: ['answer', 'input', 'system', 'history', 'task'],
  },
  { kind: 'chat', label: 'Conversation', needed: ['turns'], others: ['system', 'tools', 'task'] },
  {
    kind: 'choice',
    label: 'Question with choices',
    needed: ['question', 'choice', 'answer'],
    others: ['system', 'task'],
  },
  {
    kind: 'preference',
    label: 'Chosen and rejected answers',
    needed: ['chosen'],
    others: ['prompt', 'rejected', 'system', 'task'],
  },
  { kind: 'text', label: 'Plain text', needed: ['text'], others: ['task'] },
];

export function kindOf(kind: MappingKind) {
  return mappingKinds.find((one) => one.kind === kind)!;
}

/** The role of each field; a field that is not in it is not used. */
export type Roles = ReadonlyMap<string, Role>;

export function rolesOf(mapping: Mapping): Map<string, Role> {
  const { kind, ...fields } = mapping;
  const known: readonly Role[] = [...kindOf(kind).needed, ...kindOf(kind).others];
  const roles = new Map<string, Role>();
  for (const [use, value] of Object.entries(fields)) {
    const role = use === 'choices' ? 'choice' : known.find((one) => one === use);
    if (!role) continue;
    if (typeof value === 'string') roles.set(value, role);
    else if (Array.isArray(value)) for (const column of value) roles.set(column, role);
  }
  return roles;
}

/** Says what a field is. What can be one field alone is taken from the field that had it. @param role null: not used */
export function withRole(roles: Roles, column: string, role: Role | null): Map<string, Role> {
  const next = new Map(
    [...roles].filter(([other, had]) => other !== column && (had !== role || role === 'choice')),
  );
  if (role) next.set(column, role);
  return next;
}

/** Roles of another kind of row: those stay that it knows, and text that can be nothing else is carried over. */
export function rolesForKind(roles: Roles, kind: MappingKind): Map<string, Role> {
  const { needed, others } = kindOf(kind);
  const alike: Partial<Record<Role, Role>> = {
    prompt: kind === 'choice' ? 'question' : 'prompt',
    question: 'prompt',
    answer: kind === 'preference' ? 'chosen' : 'answer',
    chosen: 'answer',
  };
  const known = new Set<Role>([...needed, ...others]);
  return new Map(
    [...roles].flatMap(([column, role]): [string, Role][] => {
      const as = known.has(role) ? role : alike[role];
      return as && known.has(as) ? [[column, as]] : [];
    }),
  );
}

/** Roles that rows of this kind cannot do without, and no field has. */
export function missingRoles(kind: MappingKind, roles: Roles): Role[] {
  const given = new Set(roles.values());
  return kindOf(kind).needed.filter((role) => !given.has(role));
}

/**
 * The mapping that roles say; null where one is missing.
 * @param columns all fields in their order, in which choices are numbered
 */
export function mappingOf(
  kind: MappingKind,
  roles: Roles,
  columns: readonly string[],
  isVerbatim: boolean,
): Mapping | null {
  if (missingRoles(kind, roles).length > 0) return null;
  const place = (column: string) => (columns.includes(column) ? columns.indexOf(column) : columns.length);
  const all = (role: Role) =>
    [...roles]
      .filter(([, had]) => had === role)
      .map(([column]) => column)
      .sort((a, b) => place(a) - place(b));
  const one = <R extends Role>(role: R): { [K in R]?: string } => {
    const [column] = all(role);
    return (column === undefined ? {} : { [role]: column }) as { [K in R]?: string };
  };
  const first = (role: Role) => all(role)[0]!;
  switch (kind) {
    case 'prompt':
      return {
        kind,
        prompt: first('prompt'),
        ...one('input'),
        ...one('answer'),
        ...one('system'),
        ...one('history'),
        ...(isVerbatim && { verbatim: true }),
        ...one('task'),
      };
    case 'chat':
      return { kind, turns: first('turns'), ...one('system'), ...one('tools'), ...one('task') };
    case 'preference':
      return {
        kind,
        ...one('prompt'),
        chosen: first('chosen'),
        ...one('rejected'),
        ...one('system'),
        ...one('task'),
      };
    case 'choice':
      return {
        kind,
        question: first('question'),
        choices: all('choice').slice(0, 26),
        answer: first('answer'),
        ...one('system'),
        ...one('task'),
      };
    case 'text':
      return { kind, text: first('text'), ...one('task') };
    default:
      throw new Error(`unknown kind of mapping ${String(kind satisfies never)}`);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A field by its name, or by the names of fields within fields; undefined where there is none. */
export function valueAt(raw: Readonly<Record<string, unknown>>, column: string): unknown {
  if (Object.hasOwn(raw, column)) return raw[column];
  const dot = column.indexOf('.');
  const inner = dot < 0 ? undefined : raw[column.slice(0, dot)];
  return isObject(inner) ? valueAt(inner, column.slice(dot + 1)) : undefined;
}

const mostColumns = 60;

/** Fields to show: objects as the fields within them, and those that a mapping reads in any case. */
export function shownFields(
  columns: readonly string[],
  rows: readonly { raw: Readonly<Record<string, unknown>> | null }[],
  mappings: readonly Mapping[],
): string[] {
  const read = mappings.flatMap((mapping) => [...rolesOf(mapping).keys()]);
  const expanded = columns.flatMap((column) => {
    const inner = rows.flatMap(({ raw }) => (isObject(raw?.[column]) ? Object.keys(raw[column]) : []));
    return inner.length > 0 && !read.includes(column)
      ? [...new Set(inner)].map((name) => `${column}.${name}`)
      : [column];
  });
  const all = [...new Set([...expanded, ...read])];
  if (all.length <= mostColumns) return all;
  const others = new Set(all.filter((column) => !read.includes(column)).slice(0, mostColumns - read.length));
  return all.filter((column) => read.includes(column) || others.has(column));
}
