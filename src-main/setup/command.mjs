import { spawn } from 'node:child_process';
import { say } from './report.mjs';

/**
 * Runs a program to its end.
 * @param {string} program
 * @param {string[]} args
 * @param {{cwd?: string, env?: NodeJS.ProcessEnv, timeoutMs?: number, progress?: () => string | null}} [options]
 *   progress: asked every two seconds; what it returns is reported
 * @returns {Promise<{code: number, output: string}>} the last 20,000 characters of stdout and stderr; code 127: not
 * found
 */
export function runProgram(program, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ['ignore', 'pipe', 'pipe'],
      shell: process.platform === 'win32' && !program.endsWith('.exe'),
    });
    let output = '';
    const collect = (chunk) => {
      output = (output + chunk).slice(-20_000);
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    const ticker = setInterval(() => {
      const text = options.progress?.();
      if (text) say(text);
    }, 2000);
    const timer = options.timeoutMs && setTimeout(() => child.kill('SIGKILL'), options.timeoutMs);
    const finish = (code) => {
      clearInterval(ticker);
      clearTimeout(timer || undefined);
      resolve({ code, output });
    };
    child.on('error', (error) => {
      output += error.message;
      finish(127);
    });
    child.on('close', (code) => finish(code ?? 1));
  });
}

/** npm as a program: the one that started us, else the one on the PATH. */
export function runNpm(args, options = {}) {
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error', ...args];
  const script = process.env.npm_execpath;
  return script?.endsWith('.js')
    ? runProgram(process.execPath, [script, ...quiet], options)
    : runProgram('npm', quiet, options);
}
