"""The check before a restart: the program on disk is run with `-t`, and the parent goes on meanwhile.

A broken configuration, a new version that cannot be imported, one that hangs: each keeps the old daemon
serving (P22). The check is a child process whose end comes with SIGCHLD like any other, and whose time is limited.
"""

from __future__ import annotations

import os
import signal

from lonc.system.notify import without

CHECK_TIMEOUT_S = 20.0
SHOWN_BYTES = 2000  # of what it said, from the end: the reason stands in the last line of a traceback


class Check:
    """One run of `argv -t`. pid: of the process; deadline: monotonic seconds."""

    def __init__(self, argv: tuple[str, ...], now: float) -> None:
        """Start it. Raises OSError when it cannot be started."""
        self.deadline = now + CHECK_TIMEOUT_S
        self.overdue = False
        self._output = os.memfd_create("lonc-check", os.MFD_CLOEXEC)
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, self._output, 1),
            (os.POSIX_SPAWN_DUP2, self._output, 2),
        ]
        try:
            # No handler, no mask and no ignored signal of ours may reach it: it must die when it is killed.
            defaults = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
            self.pid = os.posix_spawn(
                argv[0], [*argv, "-t"], without(os.environ),
                file_actions=actions, setsigmask=(), setsigdef=defaults,
            )  # fmt: skip
        except OSError:
            os.close(self._output)
            raise

    def kill(self, *, overdue: bool = False) -> None:
        """End it; its death is told by SIGCHLD as always."""
        self.overdue = overdue
        os.kill(self.pid, signal.SIGKILL)

    def finish(self, status: int) -> str | None:
        """Return None when it found nothing wrong, else what it said; `status` is from waitpid."""
        try:
            size = os.fstat(self._output).st_size
            said = os.pread(self._output, SHOWN_BYTES, max(0, size - SHOWN_BYTES))
        finally:
            os.close(self._output)
        code = os.waitstatus_to_exitcode(status)
        if code == 0:
            return None
        if self.overdue:
            return f"no answer within {CHECK_TIMEOUT_S:g} s"
        text = " / ".join(line.strip() for line in said.decode("utf-8", "replace").splitlines() if line.strip())
        how = f"exit code {code}" if code > 0 else f"killed by signal {-code}"
        return f"{how}: {text}" if text else how
