/** What generated code may try. */
export interface Attempt {
  name: string;
  /** Tries it. */
  source: string;
  /** Pass where the attempt succeeded. */
  tests: string;
  /** How it must end, where that is known; always other than `passed`. */
  outcome?: RegExp;
  /** It never ends by itself. */
  isEndless?: boolean;
  /** Outside any sandbox it succeeds: the attempt itself is sound. */
  succeedsOutside?: boolean;
}

export interface Surroundings {
  /** A folder of the host with the file `secret.txt`, which holds `secret`. */
  folder: string;
  secret: string;
  /** Where a server of the host listens. */
  port: number;
  socketPath: string;
  /** Begin of a name that processes give themselves, so that the host finds them. */
  mark: string;
}

/** Lines of a program. */
export const allOf = (...lines: string[]): string => lines.join('\n');

/** Names this process: the host sees the name in /proc. */
const named = (mark: string) =>
  allOf(
    'try:',
    '    import ctypes',
    `    ctypes.CDLL(None).prctl(15, b"${mark}")`,
    'except BaseException:',
    '    pass',
  );

/** The escapes that reliability.md counts, and some more. `found` is what an attempt got hold of. */
export function escapeAttempts({ folder, secret, port, socketPath, mark }: Surroundings): Attempt[] {
  const path = JSON.stringify(`${folder}/secret.txt`);
  const written = JSON.stringify(`${folder}/written.txt`);
  return [
    {
      name: 'reads a file of the data folder',
      source: `found = open(${path}).read()`,
      tests: `assert found == ${JSON.stringify(secret)}`,
      outcome: /failed/,
      succeedsOutside: true,
    },
    {
      name: 'reads the users of the machine',
      source: 'found = open("/etc/passwd").read()',
      tests: 'assert "root" in found',
      outcome: /failed/,
      succeedsOutside: true,
    },
    {
      name: 'lists the folders of users and of the data',
      source: allOf(
        'import os',
        'found = []',
        `for place in ("/root", "/home", "/etc", "/var", "/run", "/mnt", ${JSON.stringify(folder)}):`,
        '    try:',
        '        found += [name for name in os.listdir(place) if name not in ("pyodide", "web_user")]',
        '    except OSError:',
        '        pass',
      ),
      tests: 'assert found',
      outcome: /failed/,
      succeedsOutside: true,
    },
    {
      name: 'writes into the data folder',
      source: `open(${written}, "w").write("here")`,
      tests: 'pass',
      outcome: /failed/,
    },
    {
      name: 'changes the Python that the next program uses',
      source: allOf(
        'import os',
        'place = os.path.dirname(os.__file__)',
        'found = open(place + "/site.py", "a").write("#")',
      ),
      tests: 'pass',
      outcome: /failed/,
    },
    {
      name: 'follows links and /proc to the files of the host',
      source: allOf(
        'import os',
        'found = []',
        `os.symlink(${path}, "/tmp/${mark}")`,
        `for place in ("/tmp/${mark}", "/proc/1/root" + ${path}, "/proc/self/root" + ${path}, "/tmp/../../.." + ${path}):`,
        '    try:',
        '        found.append(open(place).read())',
        '    except OSError:',
        '        pass',
      ),
      tests: `assert ${JSON.stringify(secret)} in found`,
      outcome: /failed/,
      succeedsOutside: true,
    },
    {
      name: 'connects to a server of this machine',
      source: allOf('import socket', `found = socket.create_connection(("127.0.0.1", ${port}), 2)`),
      tests: 'pass',
      outcome: /failed/,
      succeedsOutside: true,
    },
    {
      name: 'asks the network for a name and for an address',
      source: allOf(
        'import socket',
        'found = None',
        'try:',
        '    found = socket.create_connection(("192.0.2.1", 80), 0.5)',
        'except TimeoutError:',
        '    found = "a packet was sent"',
        'except OSError:',
        '    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)',
        '    found = sender.sendto(b"x", ("192.0.2.1", 53))',
      ),
      tests: 'assert found',
      outcome: /failed|killed/,
    },
    {
      name: 'connects to a socket in a file',
      source: allOf(
        'import socket',
        's = socket.socket(socket.AF_UNIX)',
        `s.connect(${JSON.stringify(socketPath)})`,
      ),
      tests: 'pass',
      outcome: /failed/,
      succeedsOutside: true,
    },
    {
      name: 'reads the environment',
      source: allOf(
        'import os',
        'found = "".join(os.environ.values())',
        'try:',
        '    found += open("/proc/self/environ").read()',
        'except OSError:',
        '    pass',
      ),
      tests: `assert ${JSON.stringify(secret)} in found`,
      outcome: /failed/,
      succeedsOutside: true,
    },
    {
      name: 'finds files and sockets that are open',
      source: allOf(
        'import os, stat',
        'found = []',
        'for fd in range(3, 1024):',
        '    try:',
        '        mode = os.fstat(fd).st_mode',
        '        if not stat.S_ISFIFO(mode):',
        '            found.append((fd, mode))',
        '    except OSError:',
        '        pass',
      ),
      tests: 'assert found',
      outcome: /failed/,
    },
    {
      name: 'starts processes without end',
      source: allOf(
        named(mark),
        'import os',
        'while True:',
        '    try:',
        '        os.fork()',
        '    except OSError:',
        '        pass',
      ),
      tests: 'pass',
      outcome: /timed_out/,
      isEndless: true,
    },
    {
      name: 'takes memory without end',
      source: allOf('found = []', 'while True:', '    found.append(bytearray(10 ** 6))'),
      tests: 'pass',
      outcome: /out_of_memory/,
    },
    {
      name: 'computes without end',
      source: 'while True:\n    pass',
      tests: 'pass',
      outcome: /timed_out/,
      isEndless: true,
    },
    {
      name: 'sleeps through its time, and hears no signal',
      source: allOf(
        'import signal, time',
        'for number in range(1, 32):',
        '    try:',
        '        signal.signal(number, signal.SIG_IGN)',
        '    except (OSError, ValueError):',
        '        pass',
        'time.sleep(1000)',
      ),
      tests: 'pass',
      outcome: /timed_out/,
      isEndless: true,
    },
    {
      name: 'prints without end',
      source: 'while True:\n    print("x" * 10000)',
      tests: 'pass',
      outcome: /killed/,
    },
    {
      name: 'writes files without end',
      source: allOf(
        'number = 0',
        'while True:',
        '    number += 1',
        '    with open(f"/tmp/{number}", "wb") as file:',
        '        file.write(b"x" * 500_000)',
      ),
      tests: 'pass',
      outcome: /failed/,
    },
    {
      name: 'ends the processes around it',
      source: allOf('import os', 'for process in (os.getppid(), -1):', '    os.kill(process, 9)'),
      tests: 'pass',
      outcome: /failed|killed/,
    },
    {
      name: 'stops the process that watches it',
      source: allOf('import os, time', 'os.kill(os.getppid(), 19)', 'time.sleep(1000)'),
      tests: 'pass',
      outcome: /failed|timed_out|killed/,
      isEndless: true,
    },
    {
      name: 'looks into the process that watches it, and calls the kernel by number',
      source: allOf(
        'import ctypes, os',
        'libc = ctypes.CDLL(None, use_errno=True)',
        'attach, new_user, vsock, new_mount = 16, 0x10000000, 40, 0x20000',
        'found = [',
        '    name',
        '    for name, result in (',
        '        ("ptrace", libc.ptrace(attach, os.getppid(), 0, 0)),',
        '        ("unshare", libc.unshare(new_user)),',
        '        ("unshare mounts", libc.unshare(new_mount)),',
        '        ("mount", libc.mount(b"none", b"/tmp", b"tmpfs", 0, None)),',
        '        ("vsock", libc.socket(vsock, 1, 0)),',
        '        ("setuid", libc.setuid(0)),',
        '        ("chroot", libc.chroot(b"/tmp")),',
        '    )',
        '    if result >= 0',
        ']',
      ),
      tests: 'assert found',
      outcome: /failed|killed/,
    },
    {
      name: 'leaves a process behind',
      source: allOf(
        named(mark),
        'import os, time',
        'if os.fork() == 0:',
        '    os.setsid()',
        '    if os.fork() == 0:',
        '        time.sleep(1000)',
        '    os._exit(0)',
      ),
      tests: 'assert False, "the process is there"',
      outcome: /failed/,
    },
    {
      name: 'runs other programs',
      source: allOf(
        'import os, subprocess, sys',
        'found = []',
        'for command in (["/bin/sh", "-c", "echo"], ["/usr/bin/env"], ["bwrap", "--version"]):',
        '    try:',
        '        found.append(subprocess.run(command, check=True))',
        '    except (OSError, subprocess.SubprocessError):',
        '        pass',
        'if os.system("true") == 0:',
        '    found.append("system")',
      ),
      tests: 'assert found',
      outcome: /failed|killed/,
      succeedsOutside: true,
    },
    {
      name: 'puts another program in its place',
      source: allOf('import os, sys', 'os.execv(sys.executable, [sys.executable, "-c", "pass"])'),
      tests: 'pass',
      outcome: /failed|killed/,
    },
    {
      name: 'imports the modules by which Pyodide reaches Node',
      source: allOf(
        'import gc, sys',
        'found = []',
        'for name in ("js", "pyodide_js", "_pyodide_core"):',
        '    try:',
        '        found.append(__import__(name).process.pid)',
        '    except (ImportError, AttributeError):',
        '        pass',
      ),
      tests: 'assert found',
      outcome: /failed/,
    },
    {
      name: 'searches its memory for objects of Node',
      source: allOf(
        'import gc, sys',
        'found = []',
        'for name in list(sys.modules):',
        '    if sys.modules[name] is None:',
        '        del sys.modules[name]',
        'proxies = []',
        'for one in gc.get_objects():',
        '    if type(one).__name__ == "JsFinder":',
        '        proxies += list(one.jsproxies.values())',
        '    if type(one).__name__ == "JsProxy":',
        '        proxies.append(one)',
        'try:',
        '    from _pyodide_core import to_js',
        '    proxies.append(to_js([]))',
        'except ImportError:',
        '    pass',
        'for proxy in proxies:',
        '    for reach in (',
        '        lambda: proxy.process.pid,',
        '        lambda: proxy.FS.filesystems.NODEFS and proxy.mountNodeFS("/host", "/etc"),',
        '        lambda: proxy.constructor.constructor("return globalThis.process.pid")(),',
        '        lambda: proxy.fetch("http://127.0.0.1"),',
        '        lambda: proxy.useNodeSockFS(),',
        '        lambda: proxy.eval("1"),',
        '    ):',
        '        try:',
        '            found.append(reach())',
        '        except BaseException:',
        '            pass',
      ),
      tests: 'assert found',
      outcome: /failed/,
    },
  ];
}
