import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { sandboxArguments } from '../../../src-main/evaluation/sandbox/bubblewrap/bubblewrap.ts';
import { hasFilter, systemCallFilter } from '../../../src-main/evaluation/sandbox/bubblewrap/seccomp.ts';
import { findSandbox } from '../../../src-main/evaluation/sandbox/findSandbox.ts';
import { runPrograms, type Program, type Sandbox } from '../../../src-main/evaluation/sandbox/sandbox.ts';
import { runOne, sandboxesHere } from '../../support/evaluation/sandboxes.ts';

const { signal } = new AbortController();
const sandboxes = await sandboxesHere();

for (const { kind, sandbox: found, note } of sandboxes)
  describe.skipIf(found === null)(`the sandbox ${kind}${note}`, () => {
    const sandbox = found!;

    it('says how a program ended, with the last lines of its error', async () => {
      const tests = 'assert half(4) == 2';
      expect(await runOne(sandbox, 'def half(x):\n    return x // 2\n', tests)).toMatchObject({
        outcome: 'passed',
        error: null,
      });
      const wrong = await runOne(sandbox, 'def half(x):\n    return x\n', tests);
      expect(wrong.outcome).toBe('failed');
      expect(wrong.error).toMatch(
        /File "<tests>", line 1, in <module>\n\s+assert half\(4\) == 2[\s\S]*AssertionError/,
      );
      const broken = await runOne(sandbox, 'def half(x:\n', tests);
      expect(broken).toMatchObject({
        outcome: 'failed',
        error: expect.stringContaining('SyntaxError') as string,
      });
      const deep = await runOne(sandbox, 'def f():\n    f()\nf()\n', '', 20);
      expect(deep).toMatchObject({
        outcome: 'failed',
        error: expect.stringContaining('RecursionError') as string,
      });
    });

    it('has the standard library, a place for files, and letters of all scripts', async () => {
      const source = [
        'import collections, copy, datetime, decimal, fractions, functools, hashlib, heapq, itertools, json, math',
        'import random, re, statistics, string, typing',
        'open("/tmp/x", "w").write("ä 漢 🙂")',
        'found = open("/tmp/x").read()',
        'print("ü" * 100)',
      ].join('\n');
      const tests =
        'assert found == "ä 漢 🙂" and hashlib.md5(b"x").hexdigest() == "9dd4e461268c8034f5c8564e155c67a6"';
      expect(await runOne(sandbox, source, tests, 20)).toMatchObject({ outcome: 'passed', error: null });
      // Another program sees nothing of it.
      const after = await runOne(sandbox, 'import os', 'assert os.path.exists("/tmp/x")', 20);
      expect(after.outcome).toBe('failed');
    });

    it('orders sets alike each time', async () => {
      const source = 'found = "".join({chr(97 + i) for i in range(26)})';
      const first = await runOne(sandbox, source, 'assert False, found', 20);
      const second = await runOne(sandbox, source, 'assert False, found', 20);
      expect(first.error).toContain('AssertionError: ');
      expect(second.error).toBe(first.error);
    });

    it('ends all programs at once whenever it is cancelled', async () => {
      const sleeping: Program[] = [0, 1, 2, 3].map((n) => ({
        id: String(n),
        source: 'import time\ntime.sleep(1000)',
        tests: '',
      }));
      const before = children();
      // Also while a sandbox is being made: what runs in it is then not yet bound to what made it.
      for (const afterMs of [0, 10, 20, 40, 80, 2000]) {
        const controller = new AbortController();
        const options = { signal: controller.signal, parallel: 2, timeoutSeconds: 500 };
        const running = runPrograms(sandbox, sleeping, options);
        const end = expect(running).rejects.toMatchObject({ code: 'cancelled' });
        await new Promise((resolve) => setTimeout(resolve, afterMs));
        const begin = performance.now();
        controller.abort();
        await end;
        expect(performance.now() - begin).toBeLessThan(10_000);
        expect(children()).toEqual(before);
      }
    });
  });

/** Processes that this one started and that still run; empty where the system does not tell. */
function children(): string[] {
  try {
    return readdirSync('/proc/self/task')
      .flatMap((task) => readFileSync(`/proc/self/task/${task}/children`, 'utf8').trim().split(' '))
      .filter((id) => id !== '')
      .sort();
  } catch {
    return [];
  }
}

describe('running programs', () => {
  const program = (id: string): Program => ({ id, source: '', tests: '' });

  /** One that takes longer for the first. */
  function pretended(log: string[]): Sandbox {
    let running = 0;
    return {
      kind: 'pyodide',
      description: 'pretended',
      python: '0',
      async run({ id }, options) {
        log.push(`${id} with ${++running}`);
        await new Promise((resolve) => setTimeout(resolve, id === 'a' ? 50 : 5));
        running--;
        if (options.signal.aborted) throw new Error('aborted');
        if (id === 'bad') throw new Error('bad');
        return { outcome: 'passed', error: id, seconds: 0 };
      },
    };
  }

  it('keeps the order, runs so many at once, and tells each as it ends', async () => {
    const [log, told]: [string[], string[]] = [[], []];
    const verdicts = await runPrograms(pretended(log), ['a', 'b', 'c', 'd'].map(program), {
      signal,
      parallel: 2,
      onVerdict: ({ id }) => told.push(id),
    });
    expect(verdicts.map(({ error }) => error)).toEqual(['a', 'b', 'c', 'd']);
    expect(told).toEqual(['b', 'c', 'd', 'a']);
    expect(log).toEqual(['a with 1', 'b with 2', 'c with 2', 'd with 2']);
    expect(await runPrograms(pretended([]), [], { signal })).toEqual([]);
  });

  it('ends with what went wrong, and starts no other', async () => {
    const log: string[] = [];
    const running = runPrograms(pretended(log), ['bad', 'a', 'c', 'd', 'e'].map(program), {
      signal,
      parallel: 2,
    });
    await expect(running).rejects.toThrow('bad');
    expect(log).toEqual(['bad with 1', 'a with 2']);
  });
});

describe('the arguments of bubblewrap', () => {
  const debian = {
    program: '/usr/bin/python3.11',
    version: '3.11.2',
    folders: ['/usr/lib/python3.11', '/usr/lib/python3.11/lib-dynload', '/usr/lib/x86_64-linux-gnu'],
    packages: ['/usr/lib/python3.11/dist-packages'],
  };
  const merged = (path: string) => ({ '/lib': 'usr/lib', '/lib64': 'usr/lib64', '/usr/lib64': null })[path];
  const pairs = (args: readonly string[], option: string) =>
    args.flatMap((name, i) => (name === option ? [args.slice(i + 1, i + 3).join(' ')] : []));

  it('show Python and what it loads, and nothing else', () => {
    const args = sandboxArguments(debian, true, merged);
    expect(pairs(args, '--ro-bind')).toEqual(
      ['/usr/lib64', '/usr/lib/python3.11', '/usr/lib/x86_64-linux-gnu', '/usr/bin/python3.11'].map(
        (path) => `${path} ${path}`,
      ),
    );
    expect(pairs(args, '--symlink')).toEqual(['usr/lib /lib', 'usr/lib64 /lib64']);
    expect(pairs(args, '--dev-bind')).toEqual(['/dev/null /dev/null']);
    // Packages are hidden, and what hides them cannot be written.
    expect(args.join(' ')).toContain(
      '--tmpfs /usr/lib/python3.11/dist-packages --remount-ro /usr/lib/python3.11/dist-packages',
    );
    for (const absent of ['--bind', '--proc', '--dev', '--share-net', '--cap-add'])
      expect(args).not.toContain(absent);
    for (const present of [
      '--unshare-all',
      '--unshare-user',
      '--die-with-parent',
      '--new-session',
      '--seccomp',
    ])
      expect(args).toContain(present);
    expect(pairs(args, '--size')).toEqual([`${16 * 2 ** 20} --tmpfs`]);
    expect(args.slice(args.indexOf('--') + 1, -1)).toEqual(['/usr/bin/python3.11', '-s', '-S', '-B', '-c']);
  });

  it('show a Python in a home folder by its own folders, and have no /tmp where its size cannot be limited', () => {
    const own = '/home/me/conda/lib';
    const python = {
      program: '/home/me/conda/bin/python3.12',
      version: '3.12.1',
      folders: [`${own}/python3.12`, own, '/usr/lib64'],
      packages: [],
    };
    const args = sandboxArguments(python, false, (path) => (path === '/lib64' ? null : undefined));
    expect(pairs(args, '--ro-bind').map((pair) => pair.split(' ')[0])).toEqual([
      '/lib64',
      own,
      '/usr/lib64',
      python.program,
    ]);
    expect(args).not.toContain('--tmpfs');
  });
});

describe('the filter of system calls', () => {
  const audit = { x64: 0xc000003e, arm64: 0xc00000b7 };

  /** What the filter says of a call: a small machine of the kernel's kind (seccomp(2), BPF). */
  function ask(architecture: 'x64' | 'arm64', number: number, firstArgument = 0, kind = audit[architecture]) {
    const data: Record<number, number> = { 0: number, 4: kind, 16: firstArgument };
    const bytes = systemCallFilter(architecture);
    let value = 0;
    for (let at = 0; ; at++) {
      const [code, operand] = [bytes.readUInt16LE(8 * at), bytes.readUInt32LE(8 * at + 4)];
      const jump = (isTrue: boolean) => (at += bytes.readUInt8(8 * at + (isTrue ? 2 : 3)));
      if (code === 0x20) value = data[operand]!;
      else if (code === 0x15) jump(value === operand);
      else if (code === 0x35) jump(value >= operand);
      else if (code === 0x45) jump((value & operand) !== 0);
      else if (code === 0x06) return operand;
      else throw new Error(`code ${code}`);
    }
  }
  const [allowed, killed] = [0x7fff0000, 0x80000000];
  const error = (number: number) => 0x50000 + number;

  it('refuses what reaches out and allows the rest, on both architectures', () => {
    const calls = {
      x64: {
        read: 0,
        ptrace: 101,
        socket: 41,
        unshare: 272,
        kexec: 246,
        clone: 56,
        execve: 59,
        socketpair: 53,
      },
      arm64: {
        read: 63,
        ptrace: 117,
        socket: 198,
        unshare: 97,
        kexec: 104,
        clone: 220,
        execve: 221,
        socketpair: 199,
      },
    };
    for (const architecture of ['x64', 'arm64'] as const) {
      const { ptrace, socket, unshare, kexec, clone, ...fine } = calls[architecture];
      for (const number of [ptrace, socket, unshare, kexec]) expect(ask(architecture, number)).toBe(error(1));
      for (const number of Object.values(fine)) expect(ask(architecture, number)).toBe(allowed);
      // A process or a thread, but none with namespaces of its own.
      expect(ask(architecture, clone, 0x11)).toBe(allowed);
      expect(ask(architecture, clone, 0x10000011)).toBe(error(1));
      expect(ask(architecture, 435)).toBe(error(38));
      expect(ask(architecture, 0x40000000 + 1)).toBe(error(38));
      expect(ask(architecture, 0, 0, 0x40000003)).toBe(killed);
    }
    expect(hasFilter('ia32')).toBe(false);
  });
});

describe('where there is no sandbox', () => {
  it('says what is missing and what to install', async () => {
    const { PATH } = process.env;
    process.env['PATH'] = '/nowhere';
    try {
      await expect(findSandbox(signal, ['bubblewrap'])).rejects.toMatchObject({
        code: 'sandbox_missing',
        message: expect.stringContaining('bubblewrap is not installed') as string,
        remedy: expect.stringContaining('sudo apt install bubblewrap') as string,
      });
    } finally {
      process.env['PATH'] = PATH;
    }
  });

  it('is not looked for once it was cancelled', async () => {
    await expect(findSandbox(AbortSignal.abort())).rejects.toMatchObject({ code: 'cancelled' });
  });
});
