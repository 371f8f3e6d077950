import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { projectFolder } from '../../support/paths.ts';

export interface StudioServer {
  /** Address with the token. */
  url: string;
  /** The same for other computers. */
  otherUrls: string[];
  home: string;
  pid: number;
  /** Ends the process as Ctrl+C does. @returns its exit code and what it has said to standard error */
  stop(): Promise<{ code: number | null; errors: string }>;
  /** Ends the process as a crash does. */
  kill(): Promise<void>;
}

/** `serve` as a person starts it, on a data folder of its own. */
export async function startStudio(
  options: {
    home?: string;
    host?: string;
    port?: number;
    env?: NodeJS.ProcessEnv;
    args?: readonly string[];
  } = {},
): Promise<StudioServer> {
  const home = options.home ?? mkdtempSync(join(tmpdir(), 'id-lora-e2e-'));
  const place = ['--host', options.host ?? '127.0.0.1', '--port', String(options.port ?? 0)];
  const child = spawn(
    process.execPath,
    [
      join(projectFolder, 'src-main', 'cli.ts'),
      'serve',
      '--home',
      home,
      ...place,
      ...(options.args ?? []),
      '--json',
    ],
    { cwd: projectFolder, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...options.env } },
  );
  let errors = '';
  child.stderr.on('data', (part: Buffer) => (errors += String(part)));
  const addresses = await addressesOf(child);
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  return {
    ...addresses,
    home,
    pid: child.pid!,
    async stop() {
      child.kill('SIGINT');
      return { code: await ended, errors };
    },
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** Ids of the engine processes that a studio has at the moment. */
export function enginesOf({ pid }: Pick<StudioServer, 'pid'>): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .split(' ')
    .filter(Boolean)
    .map(Number)
    .filter((child) => readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('engine/process/child'));
}

export function removeHome(home: string): void {
  rmSync(home, { recursive: true, force: true });
}

function addressesOf(child: ChildProcess): Promise<Pick<StudioServer, 'url' | 'otherUrls'>> {
  return new Promise((resolve, reject) => {
    let [output, errors] = ['', ''];
    child.stdout!.on('data', (part: Buffer) => {
      output += String(part);
      const end = output.lastIndexOf('}');
      if (end < 0) return;
      try {
        resolve(JSON.parse(output.slice(0, end + 1)) as Pick<StudioServer, 'url' | 'otherUrls'>);
      } catch {
        // More of the document is on its way.
      }
    });
    child.stderr!.on('data', (part: Buffer) => (errors += String(part)));
    child.once('close', (code) => reject(new Error(`serve ended with ${code}: ${errors.slice(-2000)}`)));
  });
}
