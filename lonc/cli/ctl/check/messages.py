"""Owns the checks of what lies in the delayed directory besides what will be sent, and of the sealing keys."""

from __future__ import annotations

import os
import stat

from lonc.cli.ctl.check.findings import Finding, Level
from lonc.cli.ctl.snapshot import Snapshot
from lonc.delayed.leftovers import OLD_S
from lonc.system.user import user_id


def keys(here: Snapshot) -> list[Finding]:
    """Check the key file: closed to others and the daemon's own; else nothing is sealed or unsealed."""
    path = here.config.keys_path
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        return [Finding("keys", Level.OK, "there are none yet; they are made with the first sealed message")]
    except OSError as error:
        return [Finding("keys", Level.WARNING, f"{path}: {(error.strerror or '').lower()}", "run it as root")]
    found = []
    if not stat.S_ISREG(facts.st_mode):
        return [Finding("keys", Level.ERROR, f"{path} is no regular file", "restore it from a backup")]
    if facts.st_mode & 0o077:
        text = f"others can use {path} (mode {stat.S_IMODE(facts.st_mode):04o}), so sealed messages are not sent"
        found.append(Finding("keys", Level.ERROR, text, f"chmod 0600 {path}"))
    wanted = user_id(here.config.user)
    if wanted is not None and facts.st_uid != wanted:
        text = f"{path} belongs to user id {facts.st_uid}, not to {here.config.user}: sealed messages are not sent"
        found.append(Finding("keys", Level.ERROR, text, f"chown {here.config.user} {path}"))
    return found or [Finding("keys", Level.OK, f"{path} is closed to others")]


def leftovers(here: Snapshot) -> list[Finding]:
    """Check for messages that were put aside, that are nobody's, and for what a crash has left."""
    found: list[Finding] = []
    if here.delayed_why:
        return [Finding("delayed", Level.WARNING, here.delayed_why, "run it as root, or as the daemon's user")]
    counts = {"rejected": 0, "corrupt": 0, "held": 0}
    for piles in (*(peer.piles for peer in here.peers), here.strays):
        for kind in counts:
            counts[kind] += getattr(piles, kind).count
    for kind, remedy in (
        ("rejected", "`loncctl queue` shows them and why; retry or drop them"),
        ("corrupt", "`loncctl queue` shows them; find out who wrote them"),
        ("held", "`loncctl queue release`, when their time has come"),
    ):
        if counts[kind]:
            found.append(Finding("delayed", Level.WARNING, f"{counts[kind]} messages are {kind}", remedy))
    if here.strays.delayed.count:
        text = f"{here.strays.delayed.count} files in {here.config.delayed_dir} are of no peer of the table"
        found.append(Finding("delayed", Level.WARNING, text, "correct hosts.tab, or `loncctl queue move` them"))
    found += _temporary(here)
    waiting = sum(peer.piles.delayed.count for peer in here.peers)
    return found or [Finding("delayed", Level.OK, f"{waiting} messages wait, none was put aside")]


def _temporary(here: Snapshot) -> list[Finding]:
    folder = here.config.delayed_dir
    count = 0
    try:
        names = [name for name in os.listdir(folder) if name.startswith(".new-") and name.endswith("~")]
    except OSError:
        return []  # told by the snapshot, or not there yet
    for name in names:
        try:
            count += here.at_wall - os.lstat(os.path.join(folder, name)).st_mtime > OLD_S
        except FileNotFoundError:
            continue  # its writer has just finished
    if not count:
        return []
    text = f"{count} unfinished messages of writers that died (.new-...~), older than an hour"
    return [Finding("delayed", Level.WARNING, text, "nothing: the next writer removes them")]
