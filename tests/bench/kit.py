"""Owns the C programs that measure: finds their sources, builds them, runs them.

lond_stub stands in for a peer's lond on 127.0.0.1; uxload drives lonc's UNIX socket with many clients and
checks every reply against its request; mux is the ceiling. Their sources lie in `programs/` beside this file,
those of the first two also where LONC_BENCH_KIT says. Programs are built into `build/bench/` under the hash of
their source, so they are built once. Without sources or a compiler: KitMissing, and a test skips.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

TREE = Path(__file__).resolve().parents[2]
BUILT = TREE / "build" / "bench"
SOURCES = Path(__file__).with_name("programs")
NAMES = ("lond_stub", "uxload")
FLAGS = ("-std=c11", "-O2", "-g", "-Wall", "-Wextra")


class KitMissing(Exception):
    """The programs cannot be had here; the text says why. A test skips with it."""


@dataclass(frozen=True, slots=True)
class Kit:
    """The built programs."""

    lond_stub: Path
    uxload: Path


def sources() -> Path:
    """Return the directory of the sources of NAMES. Raises KitMissing."""
    place = Path(os.environ.get("LONC_BENCH_KIT") or SOURCES)
    absent = [f"{name}.c" for name in NAMES if not (place / f"{name}.c").is_file()]
    if absent:
        raise KitMissing(f"the measuring programs are not here: no {' and '.join(absent)} in {place}")
    return place


def build() -> Kit:
    """Return the programs, built when their source is new. Raises KitMissing."""
    place = sources()
    return Kit(*[_built(place / f"{name}.c", _compiler()) for name in NAMES])


def build_ceiling() -> Path:
    """Return the program of mux.c, the ceiling. Raises KitMissing."""
    return _built(SOURCES / "mux.c", _compiler())


def _compiler() -> str | None:
    return next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)


def _built(source: Path, compiler: str | None) -> Path:
    """Return one program; made under a name of its own first, since several runs may build at once."""
    digest = hashlib.sha256(source.read_bytes() + repr(FLAGS).encode()).hexdigest()[:12]
    program = BUILT / f"{source.stem}-{digest}"
    if program.exists():
        return program
    if compiler is None:
        raise KitMissing("no C compiler (cc, gcc or clang) to build the measuring programs")
    BUILT.mkdir(parents=True, exist_ok=True)
    made = BUILT / f".{program.name}.{os.getpid()}"
    command = [compiler, *FLAGS, "-o", str(made), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise KitMissing(f"{source.name} could not be built: {done.stderr.strip()[:500]}")
    made.rename(program)
    return program


class Stub:
    """A running lond_stub; it answers as whatever id `sethost` names, so one can play every peer of a table.

    drop: `-d N` close each connection right after its Nth reply, `-D N` in place of it, as words.
    """

    def __init__(self, kit: Kit, port: int = 0, own_id: str = "stub", drop: Sequence[str] = ()) -> None:
        command = [str(kit.lond_stub), "-p", str(port), "-i", own_id, *drop]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        first = self.process.stdout.readline().decode()
        if not first.startswith("listening "):
            self.stop()
            raise AssertionError(f"lond_stub does not listen on port {port}")
        self.address, _, number = first.split()[1].rpartition(":")
        self.port = int(number)

    def __enter__(self) -> Stub:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self, signum: int = signal.SIGKILL) -> None:
        """End the process by a signal and wait for it; stopping again does nothing."""
        if self.process.poll() is None:
            self.process.send_signal(signum)
        self.process.wait(10)
        if self.process.stdout is not None:
            self.process.stdout.close()


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of uxload found. figures: its `name=value` pairs; good: every reply came and was right."""

    good: bool
    line: str
    errors: str
    figures: dict[str, float]


def load(kit: Kit, *arguments: str, timeout_s: float = 100.0, wrapper: Sequence[str] = ()) -> Load:
    """Run uxload to its end and return what it found.

    arguments: its own (`-u SOCKET -c 64 -n 200000 -s 32`). wrapper: before the command (`taskset -c 0`).
    """
    command = [*wrapper, str(kit.uxload), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    return _found(done.returncode, done.stdout, done.stderr)


def _found(status: int, output: str, errors: str) -> Load:
    pairs = [word.partition("=") for word in output.split() if "=" in word]
    figures = {name: float(value) for name, _, value in pairs}
    return Load(status == 0, output.strip(), errors.strip(), figures)


@contextmanager
def load_beside(
    kit: Kit, *arguments: str, timeout_s: float = 100.0, wrapper: Sequence[str] = ()
) -> Iterator[None]:
    """Run uxload beside what is done inside, and wait for it. Raises AssertionError when a reply was wrong."""
    command = [*wrapper, str(kit.uxload), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield
        found = _found(0, *process.communicate(timeout=timeout_s))
        assert process.returncode == 0, f"{' '.join(arguments)}: {found.line} {found.errors}"
    finally:
        process.kill()
        process.wait(10)
