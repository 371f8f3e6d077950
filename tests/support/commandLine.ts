import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { projectFolder } from './paths.ts';

/** How a command ended. */
export interface CommandResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** The real command line in a process of its own, as scripts use it (after set-up). */
export function studio(
  args: readonly string[],
  options: { interruptAt?: RegExp } = {},
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(projectFolder, 'src-main', 'cli.ts'), ...args], {
      stdio: 'pipe',
    });
    const result = { stdout: '', stderr: '' };
    let interrupted = false;
    const take = (stream: 'stdout' | 'stderr') => (chunk: string) => {
      result[stream] += chunk;
      if (!interrupted && options.interruptAt?.test(result[stream])) {
        interrupted = true;
        child.kill('SIGINT');
      }
    };
    child.stdout.setEncoding('utf8').on('data', take('stdout'));
    child.stderr.setEncoding('utf8').on('data', take('stderr'));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, ...result }));
  });
}
