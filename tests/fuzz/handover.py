"""Owns the harness of what comes over exec: notes in a sealed descriptor, forged or damaged, for lonc and lond.

`@PID@` in an input stands for this process, and numbers of descriptors for ones that are not open: what is refused
must be refused for what it says.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
from dataclasses import asdict
from pathlib import Path

from lonc.config import Config, load_config
from lonc.config.former import load_or_former
from lonc.config.plain import config_of
from lonc.errors import ConfigError, LoncError, StartError
from lonc.lond import restart as lond_restart
from lonc.parent import former
from lonc.parent.handover import Notes, PeerNote, peek_notes
from lonc.parent.listeners import Listeners
from lonc.system.files import SystemFiles
from lonc.system.lock import DaemonLock
from lonc.system.sealed import is_pipe_end, write_sealed
from tests.fuzz.harness import Harness, rule, scratch

FILES = SystemFiles()
FREE = 1 << 16  # added to small numbers: no descriptor of this process is meant by accident


@functools.cache
def _config() -> Config:
    place = scratch("handover")
    for folder in ("conf", "logs", "s"):
        (place / folder).mkdir()
    lines = {"lonHostID": "own1", "lonDaemons": place, "lonSockDir": place / "s", "lonTabDir": place}
    (place / "conf" / "loncapa.conf").write_text("".join(f"PerlSetVar {k} {v}\n" for k, v in lines.items()))
    (place / "hosts.tab").write_text("own1:msu:library:own.example:127.0.0.1\n")
    return load_config(str(place / "conf"))


def handover(data: bytes) -> None:
    """Whatever the notes hold: read as notes of this process, or StartError; and no number in them is believed."""
    config = _config()
    fd = write_sealed("lonc-fuzz", data.replace(b"@PID@", b"%d" % os.getpid()))
    try:
        _of_lonc(fd, config)
        _of_lond(fd, config)
    finally:
        os.close(fd)


def _of_lonc(fd: int, config: Config) -> None:
    try:
        notes = peek_notes(fd)
    except StartError as error:
        rule(str(error).isprintable() and len(str(error)) < 300, "a refusal that cannot be shown")
        rule(former.load_or_keep(config.conf_dir, fd).config == config, "another configuration than on the disk")
        return
    rule(notes.pid == os.getpid(), "notes of another process were taken")
    kept = config_of(notes.settings)
    with contextlib.suppress(ConfigError):
        load_or_former(config.conf_dir + "/none", kept, [])
    try:
        DaemonLock.adopt(_free(notes.lock_fd), config.lock_path, FILES)
    except StartError:
        pass
    else:
        rule(False, "a lock was taken over that nobody holds")
    for end in notes.lifeline:
        rule(not is_pipe_end(_free(end), os.O_RDONLY), "a pipe that is none")
    listeners = Listeners(config, FILES)
    for peer in notes.peers[:5]:
        rule(not listeners.adopt(peer.id, _free(peer.fd), peer.device, peer.inode), "a socket that is none")


def _free(fd: int) -> int:
    return fd + FREE if 0 <= fd < FREE else fd


def _of_lond(fd: int, config: Config) -> None:
    try:
        notes = lond_restart.read_notes(fd)
    except StartError as error:
        rule(str(error).isprintable() and len(str(error)) < 300, "a refusal that cannot be shown")
        return
    rule(notes.pid == os.getpid(), "notes of another process were taken")
    try:
        lond_restart.load_or_keep(config.conf_dir, fd)
        lond_restart.load_or_keep(config.conf_dir + "/none", fd)
    except LoncError:
        pass
    if not 0 <= notes.listener_fd < FREE:
        try:
            lond_restart.adopt_listener(notes)
        except StartError:
            return
        rule(False, "a socket that is none")


def _good() -> tuple[bytes, ...]:
    place = Path("/nowhere")
    conf = {"conf_dir": str(place), "host_id": "own1", "allow_users": ["a"], "pong": True, "grace_s": 1.5}
    notes = Notes(
        pid=4711, lock_fd=5, lifeline=(6, 7),
        peers=(PeerNote("msul1", 99, 8, 1, 2, 12.5), PeerNote("p.q", 0, -1, 0, 0, 0.0)), settings=conf,
        hosts=(("msul1", "msu", "library", "a.example", "127.0.0.1"), ("p.q", "msu", "access", "b.example", "")),
    )  # fmt: skip
    of_lond = {
        "pid": 4711, "lock_fd": 5, "listener_fd": 9, "bound": ["", 5663], "started": 1.5, "restarts": 2,
        "settings": conf, "hosts": [dict(zip(("id", "domain", "role", "name", "address"), notes.hosts[0],
        strict=True))],
    }  # fmt: skip
    texts = [json.dumps(asdict(notes)), json.dumps(of_lond), json.dumps(asdict(notes)).replace("99", "[[[[1]]]]")]
    return tuple(text.replace("4711", "@PID@").encode() for text in texts)


_WORDS = (
    b"null", b"true", b"-1", b"1e400", b"NaN", b"[", b"]", b"{}", b"[]", b'""', b"9" * 400, b"1" * 5000,
    b"[" * 3000,
    b'"\\ud800"', b"@PID@", b'"../x"', b'"settings": {', b"18446744073709551616", b"-2147483649",
)  # fmt: skip
HARNESSES = (
    Harness("handover", handover, 8, _WORDS, (*_good(), b"", b"[" * 200_000, b"{}", b"\xff", b"[1]"), 4096),
)
