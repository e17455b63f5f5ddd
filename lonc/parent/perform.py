"""Carries out what the supervision table has found to be done, and tells it what came of it.

One method for each kind of output; the table's words for a fact become the log's words here, those of
the originals where they have the same event (files.md 3).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable

from lonc import peers
from lonc.child import ChildContext
from lonc.parent.compare import dialed
from lonc.parent.house import House
from lonc.parent.watchman import Watchman
from lonc.peers import Fact, Order, State
from lonc.system.forking import fork_child
from lonc.system.logs import Severity

_SIGNALS = {Order.END: signal.SIGTERM, Order.DIE: signal.SIGKILL, Order.REPORT: signal.SIGUSR1}


class Performer:
    """The only one who forks, signals, listens and closes on behalf of the table."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.watchman = Watchman(house, self.give)
        self._forks_fail_since: float | None = None
        self._deeds: dict[type[peers.Output], Callable[..., None]] = {
            peers.Listen: self._listen,
            peers.Unlisten: self._unlisten,
            peers.Watch: self._watch,
            peers.Spawn: self._spawn,
            peers.Tell: self._tell,
            peers.Forget: self._forget,
            peers.Say: self._say,
        }

    def give(self, name: str, what: peers.Input) -> None:
        """Tell the table what happened to a peer, and do what follows from it."""
        self.perform(self._house.peers.on_input(name, what, self._house.clock.monotonic()))
        self._note(name)

    def perform(self, outputs: Iterable[peers.Output]) -> None:
        """Carry out outputs of the table in their order."""
        for output in outputs:
            self._deeds[type(output)](output)
            self._note(output.peer)

    def _note(self, name: str) -> None:
        house = self._house
        if name in house.peers:
            dials = dialed(house.hosts[name]) if name in house.hosts else ""
            house.ledger.note(house.peers.peer(name), dials)

    # --- sockets --------------------------------------------------------------------------------------

    def _listen(self, output: peers.Listen) -> None:
        house, name = self._house, output.peer
        try:
            house.listeners.open(name)
        except OSError as error:
            path = house.config.socket_path(name)
            house.log.write(f"No socket for {name}: {path}: {error.strerror or error}", Severity.CRITICAL)
            self.give(name, peers.SocketFailed())

    def _unlisten(self, output: peers.Unlisten) -> None:
        house, name = self._house, output.peer
        if name in house.listeners:
            house.loop.unwatch(house.listeners.get(name))
            house.listeners.close(name)

    def _watch(self, output: peers.Watch) -> None:
        house, name = self._house, output.peer
        if name not in house.listeners:  # it could not be made; the table knows
            return

        def knock(_mask: int) -> None:
            house.loop.unwatch(house.listeners.get(name))
            self.give(name, peers.Knocked())

        house.loop.watch(house.listeners.get(name), knock)

    # --- children -------------------------------------------------------------------------------------

    def _spawn(self, output: peers.Spawn) -> None:
        house, name = self._house, output.peer
        # Its socket may have failed a moment ago: then nobody is to be forked any more.
        if name not in house.peers or house.peers.peer(name).state is not State.STARTING:
            return
        house.loop.unwatch(house.listeners.get(name))  # while a child lives only the child accepts
        slot = house.ledger.slot(name)
        house.log.write(f"Attempting to start child for server {name}")
        try:
            pid = fork_child(lambda: self._live(name, output.attempts, slot), house.log, name)
        except OSError as error:
            self._forks_fail(error)
            self.give(name, peers.SpawnFailed())
            return
        house.children[pid] = name
        self._forks_work()
        self.give(name, peers.Spawned(pid))

    def _forks_fail(self, error: OSError) -> None:
        """Tell the first of a series only: a thousand peers try again every second."""
        if self._forks_fail_since is None:
            self._forks_fail_since = self._house.clock.monotonic()
            text = f"No child can be forked: {error.strerror}; tried again every second"
            self._house.log.write(text, Severity.CRITICAL)

    def _forks_work(self) -> None:
        if self._forks_fail_since is not None:
            lasted = self._house.clock.monotonic() - self._forks_fail_since
            self._forks_fail_since = None
            self._house.log.write(f"Children can be forked again after {lasted:.0f} s")

    def _live(self, name: str, attempts: int, slot: int) -> int:
        """The child: let go of all that is the parent's, then serve."""
        house = self._house
        house.loop.close()
        house.lock.close()
        house.overseer.forget(os.environ)
        for fd in (house.lifeline[1], *house.from_starter):
            os.close(fd)
        context = ChildContext(
            config=house.config,
            host=house.hosts[name],
            listener=house.listeners.leave_to_child(name),
            lifeline_fd=house.lifeline[0],
            attempts=attempts,
            board=house.ledger.board,
            slot=slot,
            clock=house.clock,
            files=house.files,
            dump_fd=house.dump_fd,
            peers=frozenset(house.hosts),
            foreground=house.foreground,
        )
        return house.run_child(context)

    def _tell(self, output: peers.Tell) -> None:
        if output.order is Order.DUMP:
            self.watchman.ask(output.pid)
            return
        if output.order is Order.DIE:
            self.watchman.copy_answer(output.peer, output.pid)
        try:
            os.kill(output.pid, _SIGNALS[output.order])
        except OSError:
            self._house.log.write(f"Child {output.pid} is dead")

    def _forget(self, output: peers.Forget) -> None:
        self._house.listeners.close(output.peer)
        self._house.ledger.free(output.peer)

    # --- words ----------------------------------------------------------------------------------------

    def _say(self, output: peers.Say) -> None:
        name, log = output.peer, self._house.log
        if output.fact is Fact.RETRY:
            most = output.most or "unlimited"
            log.write(f"Trying to reconnect for {name} ({output.attempts} of {most} attempts)")
        elif output.fact is Fact.SKIPPED:
            log.write(f"Skipped {name}", Severity.WARNING)
        elif output.fact is Fact.REVIVED:
            log.write(f"Restarting child for server: {name}")
        else:
            limit = self._house.config.stop_timeout_s
            log.write(f"The child of {name} has not left within {limit:g} s: killed", Severity.WARNING)
