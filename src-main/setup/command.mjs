import { spawn } from 'node:child_process';
import { withProxy } from './surroundings/proxy.mjs';
import { say } from './report.mjs';

/** Programs that have not ended. */
const running = new Set();

/** Ends them, for a set-up that is told to end: npm left alone would go on beside the one of the next attempt. */
export function endPrograms() {
  for (const child of running) child.kill('SIGTERM');
}

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
      env: options.env ?? withProxy(),
      stdio: ['ignore', 'pipe', 'pipe'],
      shell: process.platform === 'win32' && !program.endsWith('.exe'),
    });
    running.add(child);
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
      running.delete(child);
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

/** How long the registry may take to answer at all. */
const answerMs = 20_000;
/** What npm says where nobody answered; that a registry knows no `ping` is an answer. */
const noAnswer =
  /\b(E[A-Z_]*(NOTFOUND|AGAIN|REFUSED|RESET|TIMEDOUT|TIMEOUT|UNREACH)|UNABLE_TO\w+|\w*CERT\w*|407)\b/;

/**
 * npm as a program: the one that started us, else the one on the PATH. Without a connection it would try every package
 * for minutes: it is asked first whether the registry answers, and if not, installs from its cache or not at all.
 * @param {string[]} args
 * @param {string} what what it does, for the progress: "installing the npm packages"
 * @param {{cwd?: string}} [options]
 * @returns {Promise<{code: number, output: string}>} as runProgram; code 127: there is no npm
 */
export async function runNpm(args, what, options = {}) {
  const run = (given, progress) => {
    const all = ['--no-audit', '--no-fund', '--loglevel=error', ...given];
    const script = process.env.npm_execpath;
    return script?.endsWith('.js')
      ? runProgram(process.execPath, [script, ...all], { ...options, progress })
      : runProgram('npm', all, { ...options, progress });
  };
  const startedAt = Date.now();
  let saidAt = startedAt;
  const progress = () => {
    if (Date.now() - saidAt < 15_000) return null;
    saidAt = Date.now();
    return `${what}: ${Math.round((saidAt - startedAt) / 1000)} s so far`;
  };
  const asked = await run([
    'ping',
    '--fetch-retries=1',
    '--fetch-retry-mintimeout=1000',
    `--fetch-timeout=${answerMs}`,
  ]);
  if (asked.code === 0 || !noAnswer.test(asked.output)) return run(args, progress);
  const fromCache = await run([...args, '--offline'], progress);
  return fromCache.code === 0 ? fromCache : asked;
}
