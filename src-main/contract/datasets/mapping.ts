import { z } from 'zod';

/** A field of a row; fields within fields by dots (`question.stem`). */
const column = z.string().min(1).max(300);
/** Where a row has the number of its task. */
const task = column.optional();

/** A prompt and its answer, whatever they are called. */
const promptMapping = z.object({
  kind: z.literal('prompt'),
  prompt: column,
  /** What the prompt is about, apart from it (Alpaca's `input`). */
  input: column.optional(),
  /** Absent: rows without answers, which a model can be asked, and not trained on. */
  answer: column.optional(),
  system: column.optional(),
  /** Turns before the prompt: pairs of what was asked and answered, or turns with roles. */
  history: column.optional(),
  /** True: prompt and answer are one text that is trained as it is, with no template around it. */
  verbatim: z.boolean().optional(),
  task,
});

/** A conversation: a list of turns with roles. */
const chatMapping = z.object({
  kind: z.literal('chat'),
  turns: column,
  system: column.optional(),
  tools: column.optional(),
  task,
});

/** Two answers of which one was chosen: texts, lists of turns, or whole conversations as text. */
const preferenceMapping = z.object({
  kind: z.literal('preference'),
  /** Absent: it stands in `chosen`. */
  prompt: column.optional(),
  chosen: column,
  rejected: column.optional(),
  system: column.optional(),
  task,
});

/** A question with choices, of which one is right. */
const choiceMapping = z.object({
  kind: z.literal('choice'),
  question: column,
  /** One field with all of them, or one for each. */
  choices: z.array(column).min(1).max(26),
  /** The label of a choice, its number from 0, or its own text. */
  answer: column,
  system: column.optional(),
  task,
});

/** A text that is trained as it is. */
const textMapping = z.object({ kind: z.literal('text'), text: column, task });

/** Which fields of a row are what. */
export const mappingSchema = z.discriminatedUnion('kind', [
  promptMapping,
  chatMapping,
  preferenceMapping,
  choiceMapping,
  textMapping,
]);
export type Mapping = z.infer<typeof mappingSchema>;
export type MappingOf<K extends Mapping['kind']> = Extract<Mapping, { kind: K }>;

/** A dataset's mappings: each row is read by the first whose fields it has. */
export const mappingsSchema = z.array(mappingSchema).min(1).max(12);

/** Fields that a row must have for a mapping to be the one that reads it. */
export function neededColumns(mapping: Mapping): string[] {
  switch (mapping.kind) {
    case 'prompt':
      return mapping.answer === undefined ? [mapping.prompt] : [mapping.prompt, mapping.answer];
    case 'chat':
      return [mapping.turns];
    case 'preference':
      return mapping.prompt === undefined ? [mapping.chosen] : [mapping.prompt, mapping.chosen];
    case 'choice':
      return [mapping.question, ...mapping.choices, mapping.answer];
    case 'text':
      return [mapping.text];
  }
}

/** Fields that a mapping reads, each with what it is. */
export function columnUses(mapping: Mapping): { column: string; use: string }[] {
  const { kind, ...fields } = mapping;
  return Object.entries(fields).flatMap(([use, value]) =>
    typeof value === 'string'
      ? [{ column: value, use }]
      : Array.isArray(value)
        ? value.map((column) => ({ column, use: kind === 'choice' ? 'choice' : use }))
        : [],
  );
}
