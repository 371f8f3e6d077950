import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/** The data folder's layout. */
export interface HomePaths {
  home: string;
  database: string;
  models: string;
  datasets: string;
  cache: string;
  /** Where exports go where a person names no folder. */
  exports: string;
  /** Prompts that were kept of chats, one file a dataset. */
  keptPrompts: string;
  /** The Hub's access token that was given in Settings. */
  hubToken: string;
  /** Is there once the user agreed that generated code is run. */
  codeExecution: string;
  /** On how many cards the queue trains, where that is not on all. */
  trainAtOnce: string;
  /** Whether newer versions are looked for, and what was found. */
  updates: string;
  runCheckpoints(runId: string): string;
  /** What a run that trains another's adapter on began with, as a checkpoint has it. */
  runStart(runId: string): string;
  runFolder(runId: string): string;
}

/** `--home`, ID_LORA_STUDIO_HOME, or the platform's place for user data. */
export function defaultHome(): string {
  const { env } = process;
  if (env['ID_LORA_STUDIO_HOME']) return env['ID_LORA_STUDIO_HOME'];
  if (process.platform === 'win32')
    return join(env['APPDATA'] ?? join(homedir(), 'AppData', 'Roaming'), 'id-lora-studio');
  if (process.platform === 'darwin')
    return join(homedir(), 'Library', 'Application Support', 'id-lora-studio');
  return join(env['XDG_DATA_HOME'] ?? join(homedir(), '.local', 'share'), 'id-lora-studio');
}

export function homePaths(home: string): HomePaths {
  const runFolder = (runId: string) => join(home, 'runs', runId);
  return {
    home,
    database: join(home, 'studio.db'),
    models: join(home, 'models'),
    datasets: join(home, 'datasets'),
    cache: join(home, 'cache'),
    exports: join(home, 'exports'),
    keptPrompts: join(home, 'kept-prompts'),
    hubToken: join(home, 'hub-token'),
    codeExecution: join(home, 'code-execution'),
    trainAtOnce: join(home, 'train-at-once'),
    updates: join(home, 'updates.json'),
    runFolder,
    runStart: (runId) => join(runFolder(runId), 'start'),
    runCheckpoints: (runId) => join(runFolder(runId), 'checkpoints'),
  };
}

/** The absolute path that a person means: quotes around it (as a file manager copies it) and `~` are understood. */
export function typedPath(text: string): string {
  const plain = text.trim().replace(/^(["'])(.*)\1$/, '$2');
  return resolve(/^~(?=$|[/\\])/.test(plain) ? join(homedir(), plain.slice(1)) : plain);
}
