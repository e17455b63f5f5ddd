"""Follow the requests of a peer live: who asked, which command, how long it waited, how long it took, its size.

Nothing of a request is shown but its command word and lengths. The child writes a line for each request to
logs/lonc.trace-PEER (0600) until this ends (Ctrl-C), and for loncDebugFor (an hour) at most.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import time
from collections.abc import Iterator

from lonc.child.wishes import TRACE, Wish, trace_path, wishes_for
from lonc.cli.ctl.debug import end_of
from lonc.cli.ctl.operator import Person, become_operator, operator_log
from lonc.cli.ctl.orders import NoChildError, NotRunningError, Scene
from lonc.cli.ctl.output import Output
from lonc.cli.ctl.verbs import Exit, config_of
from lonc.cli.ctl.wishing import put_wish
from lonc.errors import LoncError
from lonc.system.files import SystemFiles, open_with_facts

POLL_S = 0.1
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)?")
_UNITS_S = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "h": 3600.0}

Line = dict[str, object]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the peer and what is to be shown."""
    parser.add_argument("peer", metavar="PEER", help="its id in hosts.tab")
    parser.add_argument(
        "--slow", metavar="TIME", type=duration_s, default=0.0,
        help="only requests that took so long in all: 2s, 200ms, 1m",
    )  # fmt: skip
    parser.add_argument(
        "--for", metavar="TIME", type=duration_s, dest="limit_s", default=float("inf"),
        help="end after this time",
    )  # fmt: skip
    parser.add_argument("--count", metavar="N", type=int, default=0, help="end after so many requests")
    parser.epilog = (
        "exit codes: 0 it has ended as it should, 1 the child has not followed, 2 usage or configuration,"
        " 3 lonc is not running. With --json the requests come as one document at the end."
    )


def duration_s(text: str) -> float:
    """Return a time like `2s`, `200ms` or `2` in seconds. Raises ArgumentTypeError."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text} is no time like 2s, 200ms or 1m")
    return float(found[1]) * _UNITS_S[found[2]]


def run(options: argparse.Namespace, out: Output) -> int:
    """Trace a peer until it is enough."""
    shown: list[Line] = []
    code, text = Exit.FAILED, ""
    try:
        config = config_of(options)
        person = become_operator(config)
        scene = Scene(config, person)
        scene.child_pid(options.peer)  # or there is nothing to be traced
        with _traced(scene, person, options.peer) as lines:
            text = _show(lines, options, out, shown)
        code = Exit.DONE
    except NotRunningError as error:
        code, text = Exit.NOT_RUNNING, str(error)
    except (NoChildError, _NotHeededError) as error:
        text = str(error)
    out.json({"verb": "trace", "peer": options.peer, "done": code is Exit.DONE, "text": text, "requests": shown})
    if code is not Exit.DONE and not out.as_json:
        out.complain(text)
    elif code is Exit.DONE:
        out.say(text)
    return code


class _NotHeededError(LoncError):
    """The child does not trace, for the reason in the text."""


@contextlib.contextmanager
def _traced(scene: Scene, person: Person, peer: str) -> Iterator[Iterator[str]]:
    """Have a peer traced meanwhile and yield its lines, "" when there is none for now. Signals end it in order."""
    config = scene.config
    path = trace_path(config.logs_dir, peer)
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.default_int_handler)
    wish = Wish(peer, TRACE, end_of(config))
    put_wish(config, wish, False)
    _call(scene, peer)  # a trace of somebody who was killed ends
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    put_wish(config, wish, True)
    operator_log(config).write(f"Operator ({person}): {peer} is traced")
    try:
        _call(scene, peer)
        yield _lines(path)
    finally:
        wished = wishes_for(config.wanted_path, peer, SystemFiles())
        if wished.get(TRACE) == wish.until:  # or another operator has begun a trace of his own
            put_wish(config, wish, False)
        with contextlib.suppress(NoChildError, NotRunningError, _NotHeededError):
            _call(scene, peer)


def _call(scene: Scene, peer: str) -> None:
    if not scene.call_child(peer):
        raise _NotHeededError(f"the child of {peer} has not heeded it: is its loop stuck?")


def _lines(path: str) -> Iterator[str]:
    """Yield each whole line of the file from its beginning, "" while there is no other."""
    files, fd, rest = SystemFiles(), -1, b""
    try:
        while True:
            if fd < 0:
                with contextlib.suppress(FileNotFoundError):  # nothing has been asked yet
                    fd = open_with_facts(files, path, os.O_RDONLY)[0]
            data = files.read(fd, 1 << 20) if fd >= 0 else b""
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                yield line.decode("utf-8", "replace")
            if not data:
                yield ""
    finally:
        if fd >= 0:
            files.close(fd)


def _show(lines: Iterator[str], options: argparse.Namespace, out: Output, shown: list[Line]) -> str:
    """Show requests until it is enough; return how it ended."""
    until = time.monotonic() + options.limit_s
    count = 0
    out.say(f"tracing {options.peer}; end it by Ctrl-C")
    try:
        for text in lines:
            line = _parsed(text) if text else {}
            if "ended" in line:
                return f"the trace has ended: {line['ended']}"
            if "id" in line and _took_ms(line) >= options.slow * 1000:
                count += 1
                out.say(_sentence(line))
                if out.as_json:
                    shown.append(line)
                if count == options.count:
                    return "as many as were wanted"
            if not text and time.monotonic() >= until:
                return "the time is over"
            if not text:
                out.stream.flush()
                time.sleep(min(POLL_S, max(0.0, until - time.monotonic())))
    except KeyboardInterrupt:
        pass  # as it is said at the beginning
    return "ended by the operator"


def _parsed(text: str) -> Line:
    try:
        line = json.loads(text)
    except ValueError:
        return {}
    return line if isinstance(line, dict) else {}


def _number(line: Line, name: str) -> float:
    value = line.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def _took_ms(line: Line) -> float:
    return _number(line, "wait_ms") + _number(line, "round_trip_ms")


def _sentence(line: Line) -> str:
    at = _number(line, "at")
    clock = time.strftime("%H:%M:%S", time.localtime(at)) + f".{int(at * 1000) % 1000:03d}"
    who = "delayed message" if line.get("delayed") else f"pid {line.get('pid')} uid {line.get('uid')}"
    trip = line.get("round_trip_ms")
    took = "never sent" if trip is None else f"round trip {_number(line, 'round_trip_ms'):.1f} ms"
    size = line.get("reply_bytes")
    reply = "too long" if size is None else f"{line.get('reply')}, {size} bytes"
    return (
        f"{clock} #{line.get('id')} {line.get('command')} ({line.get('request_bytes')} bytes), {who}: "
        f"waited {_number(line, 'wait_ms'):.1f} ms, {took}, reply {reply}"
    )
