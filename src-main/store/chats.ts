import { z } from 'zod';
import { chatInput, chatSchema } from '../contract/evaluation/chat.ts';
import type { ReadableDatabase, WritableDatabase } from './database.ts';

export const keptChatSchema = z.object({
  chat: chatSchema,
  /** By ids, with which its model is loaded again. */
  asked: chatInput,
});
/** A chat as it is kept: no model is in memory, and nothing is being answered. */
export type KeptChat = z.infer<typeof keptChatSchema>;

/** The chat of a project; null: there is none. */
export function readChat({ readable }: ReadableDatabase, project: string): KeptChat | null {
  const row = readable.prepare('SELECT entity FROM chats WHERE project = ?').pluck().get(project);
  return row === undefined ? null : keptChatSchema.parse(JSON.parse(row as string));
}

/** Keeps a chat in place of the one before. */
export function keepChat({ writable }: WritableDatabase, project: string, chat: KeptChat): void {
  writable.prepare('INSERT OR REPLACE INTO chats VALUES (?, ?)').run(project, JSON.stringify(chat));
}

export function dropChat({ writable }: WritableDatabase, project: string): void {
  writable.prepare('DELETE FROM chats WHERE project = ?').run(project);
}
