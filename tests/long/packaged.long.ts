import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runtimeFolder, versions } from '../../src-main/setup/paths.mjs';
import { startShell } from '../e2e/support/electron.ts';
import { projectFolder } from '../support/paths.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

/** What `npm run package -- --linux dir` made last. */
const made = join(projectFolder, 'dist', 'packages', 'linux-unpacked');
const isThere = existsSync(join(made, 'resources', 'studio', 'packaged.json'));
const library = join(runtimeFolder, `tensorflow-cpu-${versions.tensorflow}`);

/** As an AppImage or /opt shows it: in a folder with a name, where nothing can be written. */
const application = join(temporaryFolder(), 'ID-LoRA Studio für alle');
const studio = join(application, 'resources', 'studio');
/** Of a user who has never started it, but for TensorFlow, which is not fetched once more. */
const runtime = join(temporaryFolder(), 'runtime');
const env = { PATH: '/usr/bin:/bin', HOME: temporaryFolder(), ID_LORA_STUDIO_RUNTIME: runtime };

/** A command of the application's own command line. */
function command(...args: string[]): string {
  const program = join(studio, 'bin', 'id-lora-studio-cli');
  const { status, stdout, stderr } = spawnSync(program, args, { env, encoding: 'utf8' });
  expect(status, `${args.join(' ')}: ${stderr}`).toBe(0);
  return stdout;
}

const json = (...args: string[]) => JSON.parse(command(...args, '--json')) as unknown;

/** Switches in Electron's program: a mark, version, number, and one character each. */
function fusesOf(program: string): string {
  const bytes = readFileSync(program);
  const at = bytes.indexOf('dL7pKGdnNz796PbbjQWNKmHXBZaB9tsX') + 32;
  expect(at).toBeGreaterThan(32);
  return bytes.subarray(at + 2, at + 2 + bytes[at + 1]!).toString();
}

/** Names of the files in an archive, from its header. */
function archived(file: string): string[] {
  const bytes = readFileSync(file);
  interface Folder {
    files?: Record<string, Folder & { integrity?: { algorithm: string } }>;
  }
  const header = JSON.parse(bytes.subarray(16, 16 + bytes.readUInt32LE(12)).toString()) as Folder;
  const names = (folder: Folder, path: string): string[] =>
    Object.entries(folder.files ?? {}).flatMap(([name, inner]) => {
      if (inner.files) return names(inner, `${path}${name}/`);
      expect(inner.integrity?.algorithm).toBe('SHA256');
      return [`${path}${name}`];
    });
  return names(header, '');
}

describe.runIf(isThere && existsSync(library) && process.getuid?.() === 0)('the packaged application', () => {
  beforeAll(() => {
    mkdirSync(application);
    execFileSync('mount', ['--bind', made, application]);
    execFileSync('mount', ['-o', 'remount,bind,ro', application]);
    mkdirSync(runtime);
    symlinkSync(library, join(runtime, `tensorflow-cpu-${versions.tensorflow}`));
  });
  afterAll(() => {
    execFileSync('umount', [application]);
  });

  it('is no Node for others, and runs its own archive only', () => {
    // Node, cookies, options of Node, debugger, integrity, archive only, other snapshot; newer ones have one more.
    expect(fusesOf(join(application, 'id-lora-studio'))).toMatch(/^0000110/);
    const files = archived(join(application, 'resources', 'app.asar'));
    expect(files).toEqual(
      expect.arrayContaining([
        'package.json',
        'out/main/main.cjs',
        'out/preload/preload.cjs',
        'out/renderer/index.html',
      ]),
    );
    expect(files.filter((name) => name.includes('node_modules'))).toEqual([]);
  });

  it('brings what core and engine need, and nothing of who builds it', () => {
    expect(readdirSync(studio).sort()).toEqual([
      'LICENSE',
      'bin',
      'node',
      'node_modules',
      'out',
      'package.json',
      'packaged.json',
      'resources',
      'runtime',
      'src-main',
    ]);
    const files = readdirSync(studio, { recursive: true }).map(String);
    expect(files.filter((name) => name.startsWith('node_modules/better-sqlite3/prebuilds/'))).toHaveLength(1);
    expect(files.filter((name) => /\.(map|d\.ts)$|^src-main\/(starter|setup\/checks)\//.test(name))).toEqual(
      [],
    );
    expect(files.filter((name) => /^node_modules\/(electron|vite|svelte|typescript)\//.test(name))).toEqual(
      [],
    );
    expect(files).toContain('node/LICENSE');
    const links = execFileSync('find', [application, '-type', 'l', '-lname', '/*'], { encoding: 'utf8' });
    expect(links).toBe('');
  });

  it('opens its window from a folder that cannot be written, and provides the engine by itself', async () => {
    const home = temporaryFolder();
    const shell = await startShell(join(application, 'id-lora-studio'), home, [], env);
    try {
      expect(await shell.page.title()).toContain('ID-LoRA Studio');
      const binding = join(runtime, 'packaged', 'tfjs_binding.node');
      await expect.poll(() => existsSync(binding), { timeout: 120_000 }).toBe(true);
      const doctor = () =>
        shell.page.evaluate(
          `new Promise((resolve) => {
            studioShell.onMessage((message) => message.id === 987654 && resolve(message.reply));
            studioShell.send({ kind: 'call', id: 987654, name: 'studio.doctor', input: {} });
          })`,
        );
      await expect
        .poll(async () => JSON.stringify(await doctor()), { timeout: 60_000, interval: 2000 })
        .toContain(`"status":"ok","detail":"${versions.tensorflow} under tfjs-node-gpu`);
    } finally {
      shell.page
        .context()
        .browser()
        ?.close()
        .catch(() => undefined);
      shell.process.kill('SIGTERM');
      await shell.ended;
    }
  });

  it('says how its command line is called, and looks for newer versions only where it was packaged so', () => {
    const program = join(studio, 'bin', 'id-lora-studio-cli');
    const { stderr } = spawnSync(program, ['nothing'], { env, encoding: 'utf8' });
    expect(stderr).toContain(`See \`'${program}' help\`.`);
    const { updates } = JSON.parse(readFileSync(join(studio, 'packaged.json'), 'utf8')) as {
      updates?: string;
    };
    expect(json('settings', 'updates')).toMatchObject({
      updates: { channel: updates ?? null, isAllowed: false, lookedAt: null },
    });
  });

  it('trains a real step on its command line', () => {
    const tasks = join(studio, 'resources', 'starter', 'tasks', 'requests');
    const train = readdirSync(tasks).find((name) => name.startsWith('train'))!;
    command('models', 'add', join(dirname(dirname(tasks)), 'model'), '--name', 'starter');
    command('datasets', 'add', join(tasks, train), '--name', 'requests');
    const lines = command(
      ...['train', '--model', 'starter', '--data', 'requests', '--method', 'idlora', '--rank', '2'],
      ...['--max-steps', '1', '--name', 'one', '--json'],
    );
    const events = lines
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { event: string; loss?: number });
    expect(events.find(({ event }) => event === 'step')?.loss).toBeGreaterThan(0);
    expect(events.at(-1)?.event).toBe('done');
    expect(json('runs', 'show', 'one')).toMatchObject({ state: 'done' });
  });
});
