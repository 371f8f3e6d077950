import { z } from 'zod';
import { datasetSchema, modelSchema } from '../entities.ts';
import { nothing, reference, task } from '../inputs.ts';
import { askedTemplateSchema, templateNameSchema } from '../templates.ts';
import { methodSchema, precisionSchema } from '../training.ts';

/** How a conversation is put to models, and how answers are drawn. */
export const chatSettingsSchema = z.object({
  /** What is absent is as a column's run was trained, else as usual. */
  template: askedTemplateSchema.default({}),
  /** An answer ends before the first of these, besides where the template ends it. */
  stop: z.array(z.string().min(1).max(200)).max(16).default([]),
  maxTokens: z.number().int().min(1).max(8192).default(256),
  /** 0: the likeliest tokens. */
  temperature: z.number().min(0).max(10).default(0),
  topP: z.number().gt(0).max(1).default(1),
  /** Every column draws from the same one. */
  seed: z.number().int().min(0).default(0),
  task: task.optional(),
});
export type ChatSettings = z.infer<typeof chatSettingsSchema>;

/** Why an answer ended; `stopped`: somebody ended it. */
export const chatEnds = ['stop', 'end_id', 'length', 'context', 'stopped'] as const;

export const chatAnswerSchema = z.object({
  text: z.string(),
  tokens: z.number().int(),
  /** Null: it is under way. */
  end: z.enum(chatEnds).nullable(),
  tokensPerSecond: z.number().nullable(),
  /** Tokens of the conversation before it. */
  promptTokens: z.number().int(),
  /** The conversation as it was sent, its begin cut. */
  sent: z.string(),
});
export type ChatAnswer = z.infer<typeof chatAnswerSchema>;

export const chatColumnSchema = z.object({
  /** `base`, the run's name, or the adapter's folder. */
  name: z.string(),
  runId: z.string().nullable(),
  /** Null: the base, or an adapter from elsewhere. */
  method: methodSchema.nullable(),
  /** Through which template its turns go, and with which system text, where nothing else is asked for. */
  template: z.object({ name: templateNameSchema, system: z.string().nullable() }),
});
export type ChatColumn = z.infer<typeof chatColumnSchema>;

/** What a person says of the answers to one prompt without knowing whose they are: the best one, or none. */
export const chatChoiceSchema = z.union([
  z.strictObject({ column: z.number().int().min(0) }),
  z.enum(['alike', 'all_bad']),
]);
export type ChatChoice = z.infer<typeof chatChoiceSchema>;

/** Names are hidden, and columns stand in an order that is drawn for each conversation. */
export const chatBlindSchema = z.object({
  /** False: they were revealed; what was said until then stays. */
  isOn: z.boolean(),
  /** By which orders are drawn, and how many were. */
  seed: z.number().int(),
  draws: z.number().int(),
  /** The columns as they stand. */
  order: z.array(z.number().int()),
  votes: z.array(
    z.object({
      id: z.string(),
      /** Null: of a conversation that has ended. */
      turn: z.number().int().nullable(),
      choice: chatChoiceSchema,
      createdAt: z.string(),
    }),
  ),
});
export type ChatBlind = z.infer<typeof chatBlindSchema>;

/**
 * One prompt to several columns at once, turn after turn. Each project has one at most, which is kept until a person
 * ends it; one of them at a time has its model in memory.
 */
export const chatSchema = z.object({
  id: z.string(),
  model: modelSchema.pick({ id: true, name: true }),
  precision: precisionSchema,
  /** The base is kept in 8 bits, as the runs among the columns were trained on it. */
  loadIn8bit: z.boolean(),
  /** Likewise in 4. */
  loadIn4bit: z.boolean().default(false),
  /** Tokens that a conversation has at most with its answer. */
  context: z.number().int(),
  columns: z.array(chatColumnSchema),
  /** Whether the model is in memory; if not, the next prompt loads it. */
  isOpen: z.boolean(),
  isAnswering: z.boolean(),
  /** One answer a column. */
  turns: z.array(z.object({ prompt: z.string(), answers: z.array(chatAnswerSchema) })),
  /** Null: names were never hidden. */
  blind: chatBlindSchema.nullable().default(null),
});
export type Chat = z.infer<typeof chatSchema>;

/** What columns have said since the last such event. */
export const chatTextSchema = z.object({
  type: z.literal('chat.text'),
  chat: z.string(),
  turn: z.number().int(),
  /** One a column: the text from the character `at` on. */
  answers: z.array(z.object({ at: z.number().int(), text: z.string(), tokens: z.number().int() })),
});
export type ChatText = z.infer<typeof chatTextSchema>;

export const mostChatColumns = 8;

/** The columns as they are to be shown: by their names, or by letters where those are hidden. */
export function shownColumns({ columns, blind }: Pick<Chat, 'columns' | 'blind'>): {
  column: number;
  name: string;
}[] {
  return blind?.isOn
    ? blind.order.map((column, place) => ({ column, name: String.fromCharCode(65 + place) }))
    : columns.map(({ name }, column) => ({ column, name }));
}

export const chatInput = z.object({
  columns: z
    .array(
      z.object({
        /** Null: the one that the run was trained on. */
        model: reference.nullable().default(null),
        /** A run or a PEFT adapter folder; null: the base model. */
        adapter: reference.nullable().default(null),
      }),
    )
    .min(1)
    .max(mostChatColumns),
  precision: precisionSchema.default('f32'),
  context: z.number().int().min(16).max(131_072).default(2048),
  /** False: forgotten with the process, and what the project keeps stays. */
  isKept: z.boolean().default(true),
});
const chat = z.string().min(1);

export const chatProcedures = {
  /** Null: there is none in this project. */
  'chat.state': { input: nothing, output: chatSchema.nullable() },
  /** Begins a chat in place of the one before; progress of the task `chat`. */
  'chat.open': {
    input: chatInput,
    output: chatSchema,
  },
  /** Puts a prompt to all columns and returns when they have answered; what they say comes as `chat.text`. */
  'chat.ask': {
    input: z.object({
      chat,
      prompt: z.string().min(1).max(200_000),
      settings: chatSettingsSchema.default(chatSettingsSchema.parse({})),
    }),
    output: chatSchema,
  },
  /** Ends the answers that are under way where they are. */
  'chat.stop': { input: z.object({ chat }), output: chatSchema },
  /** Takes turns back, all but the first so many. */
  'chat.rewind': { input: z.object({ chat, turns: z.number().int().min(0) }), output: chatSchema },
  /**
   * Hides the names of the columns and begins a new conversation, so that nothing that was seen tells them; or shows
   * them.
   */
  'chat.blind': { input: z.object({ chat, isOn: z.boolean() }), output: chatSchema },
  /** While names are hidden: which answer to a prompt is best. Null takes it back. */
  'chat.vote': {
    input: z.object({ chat, turn: z.number().int().min(0), choice: chatChoiceSchema.nullable() }),
    output: chatSchema,
  },
  /** Gives the memory back and forgets the conversation. */
  'chat.close': { input: z.object({ chat }), output: nothing },
  /** Adds a prompt with the answer that is expected to a dataset of such prompts, made at the first use. */
  'chat.keep': {
    input: z.object({
      dataset: z.string().trim().min(1).max(100).default('kept prompts'),
      prompt: z.string().min(1).max(200_000),
      expected: z.string().trim().min(1).max(200_000),
    }),
    output: datasetSchema,
  },
} as const;
