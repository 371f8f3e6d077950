import type Sqlite from 'better-sqlite3';

/** One step of the database's schema. */
export interface Migration {
  /** 1, 2, 3 ... without gaps: the database's user_version after it. */
  version: number;
  apply(database: Sqlite.Database): void;
}
