import { join, resolve } from 'node:path';

/** What the desktop studio was started with. */
export interface ShellOptions {
  /** Data folder; undefined: the core's default. */
  home: string | undefined;
  project: string | undefined;
}

/** Reads `--home DIR` and `--project NAME` among the arguments that Electron and Chromium take. */
export function readOptions(argv: readonly string[], env: NodeJS.ProcessEnv): ShellOptions {
  const home = valueOf(argv, '--home') ?? env['ID_LORA_STUDIO_HOME'];
  return {
    home: home ? resolve(home) : undefined,
    project: valueOf(argv, '--project') ?? env['ID_LORA_STUDIO_PROJECT'],
  };
}

function valueOf(argv: readonly string[], name: string): string | undefined {
  const at = argv.findIndex((argument) => argument === name || argument.startsWith(`${name}=`));
  if (at < 0) return undefined;
  const argument = argv[at]!;
  return argument === name ? argv[at + 1] : argument.slice(name.length + 1);
}

/**
 * The window's own files (size, cookies of Chromium): one folder for each data folder, so that two data folders are two
 * studios.
 */
export function windowFolder(home: string): string {
  return join(home, 'window');
}
