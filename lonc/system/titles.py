"""Owns the title of a process in the process table, and the kernel's short name: what stands before the colon.

Administrators use `pgrep lonc`, the watchdog `killall lonc` (spec files.md 6): both read the short name
(/proc/PID/comm). setproctitle sets the short name to the beginning of the title as well, so it is put back
at once; for that moment, some microseconds, a process has the short name `lonc: ...`.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder
from types import ModuleType

from lonc.system.shown import printable

_LIBRARY = "setproctitle"
_INSIDE = f"{_LIBRARY}._{_LIBRARY}"  # the part of it that does the work

SHORT_NAME_LIMIT = 15  # bytes; the kernel keeps no more
TITLE_LIMIT = 120  # characters


def restore_short_name(program: str, arguments: Sequence[str]) -> None:
    """Put the kernel's short name back at once in a daemon that has just executed itself (`--resume`).

    exec makes it that of the interpreter, and it takes until the first title to be set right: meanwhile neither
    `pgrep` nor `killall` would find the parent. In a start nothing is done. Never raises.
    """
    if "--resume" in arguments:
        with contextlib.suppress(OSError), open("/proc/self/comm", "w", encoding="ascii") as comm:
            comm.write(program)


def set_title(text: str) -> bool:
    """Show text as the title of this process; return whether it is shown now.

    text: `lonc: what it does`; the program's name before the colon becomes the short name. Unprintable characters
    become escapes, what is longer than TITLE_LIMIT is cut. Never raises: where the
    library is missing or does not work here, the process goes on with the title it has, and False says so.
    Nothing of a request may be in text (P30).
    """
    title = printable(text, TITLE_LIMIT)
    try:
        library = _library()
        library.setproctitle(title)
        library.setthreadtitle(title.partition(":")[0][:SHORT_NAME_LIMIT])
        return bool(library.getproctitle() == title)
    except (ImportError, OSError, ValueError, RuntimeError, AttributeError):
        return False


def _library() -> ModuleType:
    """Return what sets titles, loaded once. Raises ImportError, or whatever a broken library raises.

    Not at the top: a daemon must come up where this library cannot even be loaded. And not by its front door if
    there is another: that imports `logging` and with it `threading`, which repair their locks in each process
    that was forked. A child would own 260 KiB more for that.
    """
    if _LIBRARY not in sys.modules and _INSIDE not in sys.modules:
        package = PathFinder.find_spec(_LIBRARY)
        place = package.submodule_search_locations if package is not None else None
        inside = PathFinder.find_spec(_INSIDE, place) if place else None
        if inside is not None and inside.loader is not None:
            module = inside.loader.create_module(inside)
            if module is not None:
                inside.loader.exec_module(module)
                sys.modules[_INSIDE] = module
    if _INSIDE in sys.modules and _LIBRARY not in sys.modules:
        return sys.modules[_INSIDE]
    import setproctitle

    return setproctitle
