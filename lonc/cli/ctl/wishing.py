"""Owns how a lasting wish is made: a line of logs/lonc.wanted, then USR1 to that child, then its effect.

A wish is kept also while lonc does not run or the peer has no child: its next child reads it. It may be made again
at any time.
"""

from __future__ import annotations

from collections.abc import Callable

from lonc.child.wishes import Wish, read_wanted, wishes_in
from lonc.cli.ctl.operator import Person, operator_log
from lonc.cli.ctl.orders import NoChildError, NotRunningError, Result, Scene, Slot, wait_for
from lonc.cli.ctl.verbs import Exit
from lonc.cli.ctl.wanted import remove_wish, set_wish
from lonc.config import Config, load_hosts
from lonc.errors import ConfigError
from lonc.system.files import SystemFiles

EFFECT_S = 10.0


def make_wish(
    config: Config, person: Person, wish: Wish, on: bool, seen: Callable[[Slot], bool], words: tuple[str, str]
) -> Result:
    """Make or take back a wish and wait until its child heeds it.

    seen: whether its effect shows on the scoreboard, once the child has read it. words: for `PEER is ...` and
    what is said of it in the log.
    """
    peer = wish.peer
    facts: dict[str, object] = {"peer": peer, "wished": on, "changed": False}
    if not known(config, peer):
        return Result(False, f"{peer} is not in {config.hosts_path}", facts, Exit.USAGE)
    try:
        changed = put_wish(config, wish, on)
    except OSError as error:
        return Result(False, f"{config.wanted_path}: {error.strerror or error}", facts)
    facts["changed"] = changed
    if changed:
        operator_log(config).write(f"Operator ({person}): {peer} {words[1]}")
    try:
        scene = Scene(config, person)
        heard = scene.call_child(peer)
    except NotRunningError as error:
        return Result(False, f"{error}: it is kept until it does", facts, Exit.NOT_RUNNING)
    except NoChildError as error:
        return Result(True, f"{error}; its next child will heed it", facts)

    def effect() -> bool:
        slot = scene.slot(peer)
        return slot is not None and slot.said and seen(slot)

    if heard and wait_for(effect, EFFECT_S):
        return Result(True, f"{peer} is {words[0]}" if changed else f"{peer} is {words[0]}, as before", facts)
    trouble = scene.log.said(peer, f"{config.wanted_path} cannot be read")
    why = f": {trouble}" if trouble else ""
    return Result(False, f"{peer} has not heeded it within {EFFECT_S:g} s{why}", facts)


def put_wish(config: Config, wish: Wish, on: bool) -> bool:
    """Write or remove the line; return whether that changed the file. OSError: it is as it was."""
    files = SystemFiles()
    if on:
        return set_wish(files, config.wanted_path, wish)
    return remove_wish(files, config.wanted_path, wish.peer, wish.word)


def known(config: Config, peer: str) -> bool:
    """Return whether a peer is in the table, or has a wish already (it may have been taken from the table)."""
    try:
        if any(host.id == peer for host in load_hosts(config).hosts):
            return True
    except ConfigError:
        pass  # a table that is broken now must keep nobody from taking a wish back
    try:
        return any(wish.peer == peer for wish in wishes_in(read_wanted(config.wanted_path, SystemFiles())))
    except OSError:
        return False
