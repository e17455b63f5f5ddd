"""Give a peer a new child with a new link; what is in flight on the old one is finished first.

`close_connection_exit` through the peer's socket, as any client may say it. It counts no attempt.
"""

from __future__ import annotations

import argparse
import contextlib
import socket

from lonc.cli.ctl.orders import Result, Scene, carry_out, wait_for
from lonc.cli.ctl.output import Output
from lonc.system.shown import printable
from lonc.wire.words import CLOSE_EXIT


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the peer."""
    parser.add_argument("peer", metavar="PEER", help="its id in hosts.tab")
    parser.epilog = "exit codes: 0 the new link is ready, 1 it is not, 2 usage or configuration, 3 not running."


def run(options: argparse.Namespace, out: Output) -> int:
    """Have a peer connected anew and wait for the link."""
    return carry_out(options, out, lambda scene: reconnect(scene, options.peer))


def reconnect(scene: Scene, peer: str) -> Result:
    """Have the child of a peer replaced, and return how its successor fares."""
    old = scene.child_pid(peer)
    config = scene.config
    limit_s = config.stop_timeout_s + config.restart_min_s + config.connect_timeout_s + config.init_timeout_s
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5.0)
            client.connect(config.socket_path(peer))
            client.sendall(CLOSE_EXIT + b"\n")
            with contextlib.suppress(TimeoutError):
                client.recv(1)  # the end of file: it has been heard
    except OSError as error:
        why = error.strerror or str(error)
        return Result(False, f"{peer}: {config.socket_path(peer)} cannot be asked: {why}")

    def fresh() -> int:
        slot = scene.slot(peer)
        return slot.child_pid if slot is not None and slot.child_pid != old else 0

    def ready() -> bool:
        slot = scene.slot(peer)
        return slot is not None and slot.child_pid not in (0, old) and slot.ready

    # One that cannot be reached need not be waited for to the end: the first failure says why.
    wait_for(lambda: ready() or _failed(scene, peer, old), limit_s)
    new, slot = fresh(), scene.slot(peer)
    facts: dict[str, object] = {"peer": peer, "old_pid": old, "new_pid": new or None, "ready": ready()}
    if ready():
        return Result(True, f"{peer} is connected anew (process {new} in place of {old})", facts)
    if not new:
        return Result(False, f"{peer}: its child {old} has not been replaced within {limit_s:g} s", facts)
    why = printable(slot.child.why, 200) if slot is not None and slot.said and slot.child.why else "no answer yet"
    return Result(False, f"{peer} has a new child ({new}), but no link yet: {why}", facts)


def _failed(scene: Scene, peer: str, old: int) -> bool:
    slot = scene.slot(peer)
    return slot is not None and slot.child_pid != old and slot.said and bool(slot.child.why)
