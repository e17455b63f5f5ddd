"""Becomes bin/lonc with a hand-over of its own making, as somebody would who wants to be taken for the daemon.

    python -m tests.security.forger CONF_DIR LOCK_FILE CASE [SOCKET PEER]

CASE says what is forged; see CASES in test_forged_restart.py. The environment is this process's own.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys

from lonc.parent.handover import Notes, PeerNote, write_notes
from tests.process.waiting import TREE


def descriptor(case: str, lock_path: str, peers: tuple[PeerNote, ...]) -> int:
    """Return the descriptor that --resume shall name."""
    # Opened for reading alone where the lock is the daemon's: that is all that a stranger may do with it.
    lock = os.open(lock_path, os.O_RDWR | os.O_CREAT, 0o600)
    if case in ("locked", "sockets"):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    other = os.open(os.devnull, os.O_RDWR)
    reader, writer = os.pipe()
    notes = Notes(os.getpid(), lock, (reader, writer), peers)
    if case == "none":
        return 999
    if case == "plain":
        fd = os.memfd_create("lonc-handover", 0)
        os.write(fd, json.dumps({"pid": os.getpid(), "lock_fd": lock, "lifeline": [reader, writer]}).encode())
        return fd
    if case == "other-pid":
        notes = Notes(os.getppid(), lock, (reader, writer), peers)
    if case == "wrong-lock":
        notes = Notes(os.getpid(), other, (reader, writer), peers)
    return write_notes(notes)


def main() -> None:
    """Make the hand-over and execute lonc with it."""
    conf_dir, lock_path, case = sys.argv[1:4]
    peers: tuple[PeerNote, ...] = ()
    if case == "sockets":
        path, peer = sys.argv[4:6]
        facts = os.lstat(path)
        bound = socket.socket(socket.AF_UNIX)  # bound elsewhere, and it does not listen
        bound.bind(path + ".forged")
        plain = os.open(path, os.O_RDONLY)
        peers = (
            PeerNote(peer, 1, bound.detach(), facts.st_dev, facts.st_ino, 0.0),
            PeerNote("../forged", os.getppid(), plain, facts.st_dev, facts.st_ino, 0.0),
        )
    fd = descriptor(case, lock_path, peers)
    for number in range(3, 64):  # whatever of it is open lives over exec
        try:
            os.set_inheritable(number, True)
        except OSError:
            continue
    lonc = str(TREE / "bin" / "lonc")
    os.execv(sys.executable, [sys.executable, lonc, "-n", "--conf-dir", conf_dir, "--resume", str(fd)])


if __name__ == "__main__":
    main()
