"""Runs one program inside the sandbox and says how it ended.

Two processes: this one, which holds the pipe to the studio, and a child that runs the program with limits of its own and
has no pipe but to this one. The studio believes a verdict by the token that comes with it. The token is read after the
child was made, so that it never stands in the child's memory.

stdin: ten digits, a request of that many bytes (JSON: source, tests, limits), then the token. stdout: lines of JSON, one
when it reads, one when the program starts, and one with the verdict.
"""

import json
import os
import resource
import select
import signal
import sys
import time

KEPT_CHARACTERS = 2000
KEPT_LINES = 12


def read_exactly(count):
    data = b""
    while len(data) < count:
        piece = os.read(0, count - len(data))
        if not piece:
            break
        data += piece
    return data


def read_rest():
    pieces = []
    while piece := os.read(0, 65536):
        pieces.append(piece)
    return b"".join(pieces)


def describe(error):
    """The last lines of an error's traceback; without MemoryError's, for which there may be no room."""
    if isinstance(error, MemoryError):
        return "MemoryError"
    try:
        import traceback

        first = error.__traceback__
        while first is not None and first.tb_frame.f_code.co_filename == "<string>":
            first = first.tb_next
        lines = "".join(traceback.format_exception(type(error), error, first)).splitlines()
        return "\n".join(lines[-KEPT_LINES:])[-KEPT_CHARACTERS:]
    except BaseException:
        return type(error).__name__


def run_program(source, tests):
    """The program, then its tests in a copy of its names.

    Both are compiled before either runs, and the tests have names of their own: a completion can neither open a text or a
    decorator that swallows them, nor put another function in the place of `check` while they run. Names begin empty, as in
    the reference harness: `__name__` is not "__main__".
    """
    import linecache

    codes = []
    for name, text in (("<program>", source), ("<tests>", tests)):
        linecache.cache[name] = (len(text), None, text.splitlines(True), name)
        codes.append(compile(text, name, "exec", dont_inherit=True))
    names = {}
    exec(codes[0], names)
    sys.settrace(None)
    sys.setprofile(None)
    exec(codes[1], dict(names))


def limit(limits):
    memory, seconds = limits["memoryBytes"], int(limits["seconds"]) + 1
    for which, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_NPROC, limits["processes"]),
        (resource.RLIMIT_FSIZE, limits["fileBytes"]),
        (resource.RLIMIT_NOFILE, limits["files"]),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        resource.setrlimit(which, (value, value))


def be_child(request, report, answer, output):
    null = os.open("/dev/null", os.O_RDWR)
    for target, own in ((0, null), (1, output), (2, output)):
        os.dup2(own, target)
    low, high = sorted((report, answer))
    for begin, end in ((3, low), (low + 1, high), (high + 1, 256)):
        os.closerange(begin, end)
    sys.path = [place for place in sys.path if place]
    sys.argv = ["program"]
    limit(request["limits"])
    try:
        run_program(request["source"], request["tests"])
        os.write(report, b"done\n")
        os.write(report, os.read(answer, 16))
    except BaseException as error:
        outcome = "out_of_memory" if isinstance(error, MemoryError) else "failed"
        os.write(report, json.dumps({"outcome": outcome, "error": describe(error)}).encode() + b"\n")
    finally:
        os._exit(0)


PASSED = {"isPassed": True}


def failure(outcome, error):
    return {"failure": {"outcome": outcome, "error": error}}


def told(message):
    """What the child said: it may be the program that spoke, which can say all but that it passed."""
    try:
        said = json.loads(message)
        outcome = said["outcome"]
        if outcome in ("failed", "out_of_memory"):
            return failure(outcome, str(said["error"])[-KEPT_CHARACTERS:])
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    return failure("failed", "The program wrote into the pipe that carries its verdict.")


def ended(status):
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGXCPU:
            return failure("timed_out", "The program used up its processor time.")
        name = signal.Signals(number).name if number in list(signal.Signals) else str(number)
        return failure("killed", f"The program was ended by {name}.")
    code = os.WEXITSTATUS(status)
    return failure("failed", f"The program ended with exit code {code} before its tests were through.")


def watch(child, report, answer, output, limits):
    """Waits for the child's word, its end, the flood of its output or the end of its time, whichever comes first."""
    deadline = time.monotonic() + limits["seconds"]
    poller = select.poll()
    poller.register(report, select.POLLIN)
    poller.register(output, select.POLLIN)
    printed, message, secret = 0, b"", None
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            return failure("timed_out", f"The program took longer than {limits['seconds']:g} s.")
        # Asked before the pipes: what the child wrote before it ended is then there to be read.
        gone, status = os.waitpid(child, os.WNOHANG)
        for pipe, _ in poller.poll(0 if gone else min(left, 0.02) * 1000):
            piece = os.read(pipe, 65536)
            if not piece:
                poller.unregister(pipe)
            elif pipe == output:
                printed += len(piece)
            else:
                message += piece
        if printed > limits["outputBytes"]:
            return failure("killed", f"The program printed more than {limits['outputBytes']} bytes.")
        if secret is None and message.startswith(b"done\n"):
            # The first word of it that anybody knows: a program that writes into every pipe cannot say it back.
            secret = os.urandom(16)
            os.write(answer, secret)
        elif secret is None and (b"\n" in message or len(message) > 65536):
            return told(message)
        if secret is not None and len(message) >= 5 + len(secret):
            if message[5:] == secret:
                return PASSED
            return failure("failed", "The program wrote into the pipe that carries its verdict.")
        if gone:
            return ended(status)


def say(line):
    os.write(1, json.dumps(line, separators=(",", ":")).encode() + b"\n")


def main():
    say({"isReady": True})
    request = json.loads(read_exactly(int(read_exactly(10))))
    report_read, report_write = os.pipe()
    answer_read, answer_write = os.pipe()
    output_read, output_write = os.pipe()
    # A program that closes its pipes must not end this process.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    child = os.fork()
    if child == 0:
        be_child(request, report_write, answer_read, output_write)
    for pipe in (report_write, answer_read, output_write):
        os.close(pipe)
    token = read_rest().decode()
    say({"token": token, "isStarted": True})
    try:
        found = watch(child, report_read, answer_write, output_read, request["limits"])
    except OSError as error:
        found = failure("killed", f"The program broke the pipe of its verdict: {error}.")
    say({"token": token, **found})
    # With this process the sandbox ends, and all that the program left running in it.
    os._exit(0)


main()
