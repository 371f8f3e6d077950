import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { cancelled, outcomes, type RunOptions, type Verdict } from './sandbox.ts';

/** A guard may take so long before the program runs: on a machine that does much else, a start takes seconds. */
const startSeconds = 60;
/** A verdict has its last lines at most. */
const mostAnswerBytes = 64 * 1024;
const keptErrorBytes = 1000;

/**
 * What a guard says, a line each. A failure is a value within its line, so that no text in it can say that it passed.
 */
const answerSchema = z.union([
  z.strictObject({ token: z.string(), isStarted: z.literal(true) }),
  z.strictObject({ token: z.string(), isPassed: z.literal(true) }),
  z.strictObject({
    token: z.string(),
    failure: z.strictObject({ outcome: z.enum(outcomes).exclude(['passed']), error: z.string() }),
  }),
]);

/** The process that guards a program. */
export interface Guard {
  file: string;
  args: readonly string[];
  /** User and group to which this process gives up its own, where it is root. */
  id?: number | undefined;
  env?: NodeJS.ProcessEnv;
  /** What the guard reads besides its stdin, on descriptor 3. */
  descriptor3?: Uint8Array;
  /** It keeps the time of the program itself; only so long after its end it is killed with the program. */
  graceSeconds: number;
  /**
   * It says when it reads, and gets nothing before. One that is made of several processes must not be killed sooner:
   * those that are not yet bound to the others would stay, as bubblewrap's child, which waits for its parent's word for
   * ever.
   */
  saysReady?: boolean;
}

const ready = '{"isReady":true}';

/**
 * Starts a guard, gives it the request and a token, and waits for the verdict. What comes without the token was not
 * said by the guard. When it is over the guard has ended.
 * @param request gets the token and returns what the guard reads from stdin
 * @throws StudioError cancelled
 */
export function askGuard(
  guard: Guard,
  request: (token: string) => readonly (string | Uint8Array)[],
  { timeoutSeconds, signal }: RunOptions,
): Promise<Verdict> {
  const token = randomBytes(16).toString('hex');
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(cancelled());
    const child = spawn(guard.file, guard.args, {
      stdio: ['pipe', 'pipe', 'pipe', ...(guard.descriptor3 ? (['pipe'] as const) : [])],
      env: guard.env ?? {},
      cwd: '/',
      ...(guard.id !== undefined && { uid: guard.id, gid: guard.id }),
    });
    let startedAt: number | null = null;
    let found: Verdict | null = null;
    let complaint = '';
    /** Why it was killed from here. */
    let end: Pick<Verdict, 'outcome' | 'error'> | null = null;
    let isBound = guard.saysReady !== true;
    const kill = () => {
      // Finds nothing to run, where it has not begun.
      child.stdin!.destroy();
      if (isBound) child.kill('SIGKILL');
    };
    const send = () => {
      for (const part of request(token)) child.stdin!.write(part);
      child.stdin!.end();
    };
    const killAfter = (seconds: number, why: typeof end) =>
      setTimeout(() => {
        end = why;
        // So late it is no longer waited for.
        isBound = true;
        kill();
        child.stdout!.destroy();
        child.stderr!.destroy();
      }, seconds * 1000);
    let timer = killAfter(startSeconds, {
      outcome: 'killed',
      error: `The sandbox did not start within ${startSeconds} s.`,
    });
    const elapsed = () => (startedAt === null ? 0 : (performance.now() - startedAt) / 1000);
    const receive = (line: string) => {
      if (!isBound && line === ready) {
        isBound = true;
        if (child.stdin!.destroyed) kill();
        else send();
      }
      const said = readAnswer(line, token);
      if (said === null || found !== null) return;
      if ('isPassed' in said) found = { outcome: 'passed', error: null, seconds: elapsed() };
      else if ('failure' in said) found = { ...said.failure, seconds: elapsed() };
      else if (startedAt === null) {
        startedAt = performance.now();
        clearTimeout(timer);
        timer = killAfter(timeoutSeconds + guard.graceSeconds, {
          outcome: 'timed_out',
          error: `The program took longer than ${timeoutSeconds} s.`,
        });
      }
    };
    signal.addEventListener('abort', kill, { once: true });
    const settle = (action: () => void) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', kill);
      action();
    };
    child.on('error', (error) => {
      if (child.pid === undefined) settle(() => reject(error));
    });
    let rest = '';
    let received = 0;
    child.stdout!.setEncoding('utf8').on('data', (piece: string) => {
      received += piece.length;
      if (received > mostAnswerBytes) {
        end ??= { outcome: 'killed', error: 'The sandbox wrote more than a verdict.' };
        kill();
        return;
      }
      const lines = (rest + piece).split('\n');
      rest = lines.pop()!;
      for (const line of lines) receive(line);
    });
    child.stderr!.setEncoding('utf8').on('data', (piece: string) => {
      if (complaint.length < keptErrorBytes) complaint += piece;
    });
    // Each stream that a dead guard no longer reads would throw.
    for (const stream of [child.stdin!, ...child.stdio.slice(3)]) stream?.on('error', () => undefined);
    const extra = child.stdio[3];
    if (guard.descriptor3 && extra && 'end' in extra) extra.end(guard.descriptor3);
    if (isBound) send();
    child.once('close', (code, exitSignal) =>
      settle(() => {
        if (signal.aborted) return reject(cancelled());
        const how = exitSignal ?? `exit code ${code}`;
        const lost: typeof end = /out of memory/i.test(complaint)
          ? { outcome: 'out_of_memory', error: 'The process that runs Python ran out of memory.' }
          : {
              outcome: 'killed',
              error:
                `The sandbox ended without a verdict (${how}). ${complaint.trim().slice(0, keptErrorBytes)}`.trim(),
            };
        resolve(found ?? { ...(end ?? lost), seconds: elapsed() });
      }),
    );
  });
}

/** What the guard says in a line; null: it is not the guard's. */
function readAnswer(line: string, token: string): z.infer<typeof answerSchema> | null {
  if (!line.includes(token)) return null;
  try {
    const said = answerSchema.parse(JSON.parse(line));
    return said.token === token ? said : null;
  } catch {
    return null;
  }
}
