import { allOf, type Attempt } from './escapes.ts';

/** Programs that are wrong and want to be called right. */
export function forgeries(): Attempt[] {
  const wrong = 'def check(candidate):\n    assert candidate() == 1\n\ncheck(answer)';
  const forge = (name: string, source: string, outcome = /failed|killed/): Attempt => ({
    name,
    source: `def answer():\n    return 2\n\n${source}\n`,
    tests: wrong,
    outcome,
  });
  const passedLines = String.raw`line = b'{"token":"%s","isPassed":true}\n'`;
  return [
    forge('ends before its tests: os._exit(0)', 'import os\nos._exit(0)'),
    forge('ends before its tests: sys.exit(0)', 'import sys\nsys.exit(0)', /failed/),
    forge(
      'prints a verdict',
      allOf(
        'import sys',
        passedLines,
        'for token in (b"", b"0" * 32):',
        '    sys.stdout.buffer.write(line % token)',
        '    sys.stderr.buffer.write(line % token)',
        'sys.stdout.flush()',
      ),
      /failed/,
    ),
    forge(
      'writes a verdict into every pipe',
      allOf(
        'import os',
        passedLines,
        'for pipe in range(0, 256):',
        '    for text in (line % (b"0" * 32), b"done\\n" + b"0" * 16):',
        '        try:',
        '            os.write(pipe, text)',
        '        except OSError:',
        '            pass',
        'os._exit(0)',
      ),
    ),
    forge(
      'searches frames and objects for the token',
      allOf(
        'import gc, os, re, sys',
        passedLines,
        'texts = []',
        'frame = sys._getframe()',
        'while frame is not None:',
        '    texts.append(repr(frame.f_locals))',
        '    texts.append(repr(frame.f_globals))',
        '    frame = frame.f_back',
        'for one in gc.get_objects():',
        '    if isinstance(one, (dict, list, tuple)) and len(one) < 1000:',
        '        try:',
        '            texts.append(repr(one)[:100000])',
        '        except Exception:',
        '            pass',
        'tokens = set(re.findall("[0-9a-f]{32}", "".join(texts)))',
        'for token in tokens:',
        '    for pipe in range(0, 32):',
        '        try:',
        '            os.write(pipe, line % token.encode())',
        '        except OSError:',
        '            pass',
      ),
    ),
    forge(
      'replaces check before the tests define it',
      'import builtins\nbuiltins.check = lambda candidate: None',
    ),
    forge(
      'replaces check while the tests run',
      allOf(
        'import threading',
        'def replace():',
        '    while True:',
        '        globals()["check"] = lambda candidate: None',
        'try:',
        '    threading.Thread(target=replace, daemon=True).start()',
        'except RuntimeError:',
        '    pass',
      ),
    ),
    forge(
      'traces the tests, to jump over the check',
      allOf(
        'import sys, threading',
        'def trace(frame, event, argument):',
        '    if frame.f_code.co_name == "check" and event == "line":',
        '        frame.f_globals["candidate"] = None',
        '        raise SystemExit(0)',
        '    return trace',
        'sys.settrace(trace)',
      ),
    ),
    forge(
      'decorates the check with a line at its end',
      'import functools\n@(lambda check: lambda candidate: None)',
    ),
    forge('opens a text that the tests would end', 'text = """'),
    forge('ends with a line that goes on', 'check = None if True else \\'),
  ];
}
