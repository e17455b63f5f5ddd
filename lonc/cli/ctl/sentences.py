"""Owns what is wrong, in sentences: from a snapshot to findings, each with its cause and what to do about it.

Pure: everything comes from the snapshot. What is about the daemon as a whole stands here, about one peer in
peer_sentences.py. The most serious comes first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lonc.catalogue import find
from lonc.cli.ctl.finding import Finding, Weight, messages_wait, span
from lonc.cli.ctl.peer_sentences import of_peer
from lonc.cli.ctl.snapshot import Life, Snapshot
from lonc.cli.ctl.ways import Room
from lonc.system.clock import ctime

RECENT_S = 600.0  # a warning is repeated at least so often while its cause lasts (system/logs/repeats.py)
NEAR = 0.8  # of a limit
LOW_BYTES = 16 << 20
_FULL = ("No space left on device", "Disk quota exceeded", "File too large")
_RAISE = "raise the limit of open files (`ulimit -n`, LimitNOFILE=) of what starts lonc, then restart it"
_ROOM = "make room on that file system: nothing has to be restarted, messages and log go on by themselves"


def findings(now: Snapshot) -> list[Finding]:
    """Return everything that is not as it should be: first about the daemon, then about peers, by weight."""
    found = [*_life(now), *_files(now), *_descriptors(now), *_table(now), *_parent(now)]
    for peer in now.peers:
        found += of_peer(now, peer)
    return sorted(found, key=lambda one: one.weight.value)


def headline(now: Snapshot) -> str:
    """Return one line about the daemon: since when it is up, and how often it was restarted."""
    daemon, header = now.daemon, now.daemon.header
    if daemon.life is not Life.RUNNING:
        return f"lonc of {now.config.host_id}: {daemon.life.value}"
    text = f"lonc of {now.config.host_id} runs as process {daemon.pid}"
    if header is not None and header.started:
        text += f", up for {span(now.at_wall - header.started)} (since {ctime(header.started)})"
        if header.restarts:
            times = "once" if header.restarts == 1 else f"{header.restarts} times"
            text += f", restarted {times}, {span(now.at_wall - header.restarted)} ago"
        if header.state not in ("", "serving"):
            text += f", {header.state}"
    return text


# --- whether it lives -------------------------------------------------------------------------------------


def _life(now: Snapshot) -> Iterator[Finding]:
    daemon, config = now.daemon, now.config
    waits = messages_wait(now, [peer.piles.delayed for peer in now.peers])
    if daemon.life is Life.DEAD:
        text = f"lonc is dead: nobody holds {config.lock_path}, but {config.pid_path} is there"
        text += f" and names process {daemon.pid_file}" if daemon.pid_file else ""
        yield Finding(
            "", Weight.FATAL, "dead", text + waits,
            f"see the end of {config.log_path} and of {config.errors_path} for why it ended (killed, memory);"
            " then start lonc: it replaces the pid file itself",
        )  # fmt: skip
    elif daemon.life is Life.STOPPED:
        yield Finding("", Weight.FATAL, "not_running", f"lonc does not run{waits}", "start lonc")
    elif daemon.life is Life.UNKNOWN:
        remedy = "ask as root or as the daemon's user; end a lonc without a lock before another one is started"
        text = f"it cannot be known whether lonc runs: {daemon.life_why}"
        yield Finding("", Weight.FATAL, "unknown", text, remedy)
    elif daemon.board_why:
        yield Finding(
            "", Weight.TROUBLE, "board",
            "the scoreboard is only in memory or cannot be read, so nothing is known of the peers:"
            f" {daemon.board_why}",
            "mend the directory or the disk, then `loncctl restart`; traffic is not touched by this",
        )  # fmt: skip


# --- files and disks --------------------------------------------------------------------------------------


def _files(now: Snapshot) -> Iterator[Finding]:
    trouble = _log_trouble(now)
    full = any(word in trouble for word in _FULL)
    if trouble and not full:
        remedy = f"mend modes and owner of {now.config.logs_dir}; the log will say how many lines were lost"
        yield Finding("", Weight.TROUBLE, "log", trouble, remedy)
    low = [room for room in now.room if _is_low(room)]
    for room in low:
        kind = "full" if not room.bytes_free or not room.inodes_free else "nearly full"
        also = f"; {trouble}" if full else ""
        left = "no inode is left" if not room.inodes_free else f"{room.bytes_free >> 10} KiB are left"
        yield Finding(
            "", Weight.TROUBLE, "disk_full",
            f"the disk of {room.path} is {kind}: {left}{also}; new delayed messages may be lost", _ROOM,
        )  # fmt: skip
    if full and not low:
        yield Finding("", Weight.TROUBLE, "disk_full", f"the disk is full: {trouble}", _ROOM)
    if now.delayed_why:
        remedy = "mend modes and owner of that directory: 0700, of the daemon's user"
        yield Finding("", Weight.TROUBLE, "delayed_directory", now.delayed_why, remedy)
    strays = now.strays.delayed.count
    if strays:
        yield Finding(
            "", Weight.NOTICE, "strays", f"{strays} delayed messages are for ids that are not in hosts.tab",
            "a server was renamed or removed: rename the end of these files in sockets/delayed, or remove them",
        )  # fmt: skip


def _log_trouble(now: Snapshot) -> str:
    """Return why some process cannot write the log at this moment, empty when all can."""
    header = now.daemon.header
    if header is not None and now.daemon.life is Life.RUNNING and header.log_trouble:
        return header.log_trouble
    return next((peer.live.log_trouble for peer in now.peers if peer.live and peer.live.log_trouble), "")


def _is_low(room: Room) -> bool:
    few = room.bytes_free < min(LOW_BYTES, room.bytes_size // 20)
    return few or room.inodes_free == 0


def _descriptors(now: Snapshot) -> Iterator[Finding]:
    held = now.daemon.descriptors
    if held is not None and held.open >= held.limit * NEAR:
        text = f"the parent has {held.open} of at most {held.limit} files open: new peers may get no socket"
        yield Finding("", Weight.TROUBLE, "descriptors", text, _RAISE)


# --- the table of hosts -----------------------------------------------------------------------------------

_TWICE = re.compile(r":(\d+): (\S+) stands already in line (\d+); this one wins\Z")


def _table(now: Snapshot) -> Iterator[Finding]:
    config = now.config
    if now.table is None:
        remedy = "mend it; `loncctl check` names every mistake; the running daemon goes on with the table it has"
        yield Finding("", Weight.TROUBLE, "table", f"hosts.tab cannot be used: {now.table_why}", remedy)
        return
    lines: list[str] = []
    for warning in now.table.warnings:
        twice = _TWICE.search(warning)
        if twice is None:
            found = find(warning)
            remedy = found.message.remedy if found else "mend that line"
            yield Finding("", Weight.NOTICE, "table_line", warning, f"{remedy}; then `loncctl rehash`")
            continue
        lines = lines or _lines(config.hosts_path)
        yield _twice(twice[2], int(twice[3]), int(twice[1]), lines)


def _twice(peer: str, first: int, second: int, lines: list[str]) -> Finding:
    one, other = _address(lines, first), _address(lines, second)
    if one == other:
        text = f"{peer} stands twice in hosts.tab, in lines {first} and {second}"
        return Finding(peer, Weight.NOTICE, "twice", text, "remove one of the lines, then `loncctl rehash`")
    return Finding(
        peer, Weight.TROUBLE, "two_addresses",
        f"{peer} has two addresses in hosts.tab: {one} in line {first} and {other} in line {second}; the later"
        " line is used",
        f"find out which address {peer} has, remove the other line, then `loncctl rehash`",
    )  # fmt: skip


def _lines(path: str) -> list[str]:
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "backslashreplace").split("\n")
    except OSError:
        return []


def _address(lines: list[str], number: int) -> str:
    """Return the address in a line of the table, its host name when that is resolved; `?`: the line is gone."""
    fields = lines[number - 1].strip().split(":", 4) if 0 < number <= len(lines) else []
    if len(fields) < 5:
        return "?"
    address = fields[4] if fields[4].startswith("[") else fields[4].partition(":")[0]
    return fields[3] if address in ("http", "https") else address


# --- what the parent says -----------------------------------------------------------------------------------


def _parent(now: Snapshot) -> Iterator[Finding]:
    """Tell the parent's last warning while it is young, with the catalogue's remedy."""
    header = now.daemon.header
    if now.daemon.life is not Life.RUNNING or header is None or not header.warning:
        return
    age = now.at_wall - header.warned
    found = find(header.warning)
    of_table = now.table is not None and header.warning in now.table.warnings
    if age > RECENT_S or of_table or _about_a_peer(header.warning):
        return
    remedy = found.message.remedy if found else "`loncctl explain` takes the line of the log"
    text = f"the parent said {span(max(0.0, age))} ago: {header.warning}"
    yield Finding("", Weight.NOTICE, "parent", text, remedy)


def _about_a_peer(text: str) -> bool:
    return text.startswith(("Skipped ", "Child ", "The child of ", "No socket for "))
