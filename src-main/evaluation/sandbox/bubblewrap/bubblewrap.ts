import { execFile } from 'node:child_process';
import { existsSync, lstatSync, readFileSync, readlinkSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import { promisify } from 'node:util';
import { StudioError } from '../../../contract/errors.ts';
import { askGuard } from '../guard.ts';
import { limits, trySandbox, type Sandbox } from '../sandbox.ts';
import { hasFilter, systemCallFilter } from './seccomp.ts';

const run = promisify(execFile);

/** A Python that was found on this machine. */
export interface HostPython {
  /** The program itself, behind all links. */
  program: string;
  version: string;
  /** Folders of its standard library, and of the libraries of the system that it loads. */
  folders: readonly string[];
  /** Folders among them with other people's packages. */
  packages: readonly string[];
}

/**
 * Programs of a root process run as this user (`nobody`): the kernel counts no processes of root, and what they might
 * reach in spite of everything is then not root's.
 */
const nobody = 65534;

/**
 * Where programs name their loader. In most systems they are links into /usr, of which the last two are then needed.
 */
const loaderFolders = ['/lib', '/lib64', '/usr/lib64'];

const installRemedy = 'Install it: sudo apt install bubblewrap python3';

const supervisor = readFileSync(new URL('./supervisor.py', import.meta.url), 'utf8');

/** What tells a Python about itself: it loads all of its own libraries and looks where they lie. */
const selfPortrait = `import importlib, json, os, sys, sysconfig
assert sys.version_info >= (3, 8), "Python is too old"
paths = sysconfig.get_paths()
library = {os.path.realpath(paths[name]) for name in ("stdlib", "platstdlib")}
for folder in [os.path.join(own, "lib-dynload") for own in library]:
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        try:
            importlib.import_module(name.split(".")[0])
        except BaseException:
            pass
with open("/proc/self/maps") as maps:
    mapped = {os.path.dirname(line.split(None, 5)[5].strip()) for line in maps if ".so" in line}
packages = [os.path.join(own, name) for own in library for name in ("site-packages", "dist-packages")]
print(json.dumps({
    "program": os.path.realpath(getattr(sys, "_base_executable", sys.executable)),
    "version": sys.version.split()[0],
    "folders": sorted(library | mapped),
    "packages": [folder for folder in packages if os.path.isdir(folder)],
}))`;

/**
 * The arguments that make the sandbox: every namespace of its own (no network, no process but its own, no user), an
 * empty root on which only Python and the libraries that it loads lie, read-only, and a /tmp in memory. There is no
 * /proc, /sys, /home, /etc and no device but /dev/null; what is not named is not there.
 * @param canLimitSize whether this bubblewrap can limit /tmp; without that there is none
 * @param linkOf what a path is a link to, or null; undefined where nothing is there
 */
export function sandboxArguments(
  python: HostPython,
  canLimitSize: boolean,
  linkOf: (path: string) => string | null | undefined = readLink,
): string[] {
  const binds: string[] = [];
  const bound: string[] = [];
  const bind = (path: string) => {
    if (bound.some((folder) => path === folder || path.startsWith(`${folder}/`))) return;
    binds.push('--ro-bind', path, path);
    bound.push(path);
  };
  for (const folder of loaderFolders) {
    const link = linkOf(folder);
    if (typeof link === 'string') binds.push('--symlink', link, folder);
    // Without the link it is all of a system's libraries, of which Python names those that it needs.
    else if (link === null && folder !== '/lib') bind(folder);
  }
  for (const folder of [...python.folders].sort()) bind(folder);
  bind(python.program);
  for (const folder of python.packages) binds.push('--tmpfs', folder, '--remount-ro', folder);
  return [
    ...['--unshare-all', '--unshare-user', '--uid', '1000', '--gid', '1000', '--hostname', 'sandbox'],
    ...['--die-with-parent', '--new-session', '--cap-drop', 'ALL', '--seccomp', '3'],
    ...binds,
    ...['--dev-bind', '/dev/null', '/dev/null'],
    ...(canLimitSize ? ['--size', String(limits.temporaryBytes), '--tmpfs', '/tmp'] : []),
    ...['--remount-ro', '/', '--chdir', '/'],
    // -S: no packages but the standard library, so that every machine gives the same verdict; -B: no files of its own.
    ...['--', python.program, '-s', '-S', '-B', '-c', supervisor],
  ];
}

function readLink(path: string): string | null | undefined {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (!stats) return undefined;
  return stats.isSymbolicLink() ? readlinkSync(path) : null;
}

/**
 * Bubblewrap with the first Python for which it works: each is tried with programs that pass and fail.
 * @throws StudioError sandbox_missing with what it lacks
 */
export async function openBubblewrap(signal: AbortSignal): Promise<Sandbox> {
  const { arch, platform } = process;
  if (platform !== 'linux') throw lacks('bubblewrap needs Linux', 'Use a machine with Linux.');
  if (!hasFilter(arch))
    throw lacks(`bubblewrap is not set up for ${arch}`, 'Use a machine with x64 or arm64.');
  const program = findProgram('bwrap');
  if (program === null) throw lacks('bubblewrap is not installed', installRemedy);
  const [version, help] = await Promise.all([ask(program, '--version'), ask(program, '--help')]);
  const pythons = await findPythons();
  if (pythons.length === 0)
    throw lacks('bubblewrap is there, and no Python from 3.8 on', 'Install it: sudo apt install python3');
  let complaint = '';
  for (const python of pythons) {
    const sandbox = createBubblewrap(python, {
      program,
      version,
      args: sandboxArguments(python, help.includes('--size ')),
      filter: systemCallFilter(arch),
    });
    const found = await trySandbox(sandbox, signal);
    if (found === null) return sandbox;
    complaint ||= found;
  }
  throw lacks(`bubblewrap does not work here (${complaint})`, namespaceRemedy());
}

function createBubblewrap(
  python: HostPython,
  given: { program: string; version: string; args: readonly string[]; filter: Uint8Array },
): Sandbox {
  return {
    kind: 'bubblewrap',
    description: `${given.version}, Python ${python.version}`,
    python: python.version,
    run({ source, tests }, options) {
      const { timeoutSeconds: seconds } = options;
      const request = Buffer.from(JSON.stringify({ source, tests, limits: { ...limits, seconds } }));
      const size = String(request.length).padStart(10, '0');
      return askGuard(
        {
          file: given.program,
          args: given.args,
          id: process.getuid?.() === 0 ? nobody : undefined,
          // Without a seed of its own a program would order its sets anew each time.
          env: { PYTHONHASHSEED: '0', PYTHONUTF8: '1' },
          descriptor3: given.filter,
          graceSeconds: 2,
          saysReady: true,
        },
        (token) => [size, request, token],
        options,
      );
    },
  };
}

async function ask(program: string, option: string): Promise<string> {
  try {
    const { stdout } = await run(program, [option], { timeout: 10_000 });
    return stdout.trim();
  } catch (error) {
    const what = error instanceof Error ? error.message.trim() : String(error);
    throw lacks(`bubblewrap does not start (${what})`, installRemedy);
  }
}

/** The system's Python first: of one in a home folder, that folder's place would have to be shown. */
async function findPythons(): Promise<HostPython[]> {
  const found: HostPython[] = [];
  for (const name of ['/usr/bin/python3', 'python3']) {
    try {
      const { stdout } = await run(name, ['-I', '-S', '-c', selfPortrait], { timeout: 10_000 });
      const python = JSON.parse(stdout) as HostPython;
      if (existsSync(python.program) && !found.some(({ program }) => program === python.program))
        found.push(python);
    } catch {
      // Not there, or none that can be used.
    }
  }
  return found;
}

/** What keeps a user from namespaces on this machine, and how that is changed. */
function namespaceRemedy(): string {
  const isZero = (setting: string) => readSetting(setting) === '0';
  if (readSetting('kernel/apparmor_restrict_unprivileged_userns') === '1')
    return 'AppArmor keeps programs from user namespaces here. Allow bubblewrap: install apparmor-profiles and load its profile bwrap-userns-restrict, or run: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0';
  if (isZero('kernel/unprivileged_userns_clone'))
    return 'The kernel keeps users from namespaces here. Allow them: sudo sysctl kernel.unprivileged_userns_clone=1';
  if (isZero('user/max_user_namespaces'))
    return 'The kernel allows no user namespaces here. Allow them: sudo sysctl user.max_user_namespaces=10000';
  return 'Allow user namespaces: in a container they must be allowed where it is started.';
}

/** Where a program lies; null: not on the PATH. */
function findProgram(name: string): string | null {
  const places = (process.env['PATH'] ?? '').split(delimiter).filter(isAbsolute);
  return places.map((place) => join(place, name)).find((path) => existsSync(path)) ?? null;
}

function readSetting(name: string): string | null {
  try {
    return readFileSync(`/proc/sys/${name}`, 'utf8').trim();
  } catch {
    return null;
  }
}

function lacks(what: string, remedy: string): StudioError {
  return new StudioError('sandbox_missing', `${what}.`, remedy);
}
