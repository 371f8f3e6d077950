import type { Migration } from '../migration.ts';

/** The chat of each project, with what its columns are found by. */
export const chats: Migration = {
  version: 20,
  apply(database) {
    database.exec(`
      CREATE TABLE chats (
        project TEXT PRIMARY KEY,
        entity TEXT NOT NULL
      ) STRICT;
    `);
  },
};
