"""Owns the title of a process in the process table, and the kernel's short name, which is always `lonc`.

Administrators use `pgrep lonc`, the watchdog `killall lonc` (spec files.md 6): both read the short name
(/proc/PID/comm). setproctitle sets the short name to the beginning of the title as well, so it is put back
at once; for that moment, some microseconds, a process has the short name `lonc: ...`.
"""

from __future__ import annotations

from lonc.system.shown import printable

SHORT_NAME = "lonc"
TITLE_LIMIT = 120  # characters


def set_title(text: str) -> bool:
    """Show text as the title of this process; return whether it is shown now.

    Unprintable characters become escapes, what is longer than TITLE_LIMIT is cut. Never raises: where the
    library is missing or does not work here, the process goes on with the title it has, and False says so.
    Nothing of a request may be in text (P30).
    """
    title = printable(text, TITLE_LIMIT)
    try:
        # Not at the top: a daemon must come up where this library cannot even be loaded.
        import setproctitle

        setproctitle.setproctitle(title)
        setproctitle.setthreadtitle(SHORT_NAME)
        return bool(setproctitle.getproctitle() == title)
    except (ImportError, OSError, ValueError, RuntimeError, AttributeError):
        return False
