"""Owns the checks of what lies on the disk: directories, files and their modes, room, and the paths of sockets."""

from __future__ import annotations

import errno
import os
import pwd
import stat

from lonc.cli.ctl.check.findings import Finding, Level
from lonc.cli.ctl.snapshot import Snapshot
from lonc.cli.ctl.ways import rooms
from lonc.config import SOCKET_PATH_LIMIT, Config
from lonc.system.user import user_id

MIB = 1 << 20
ROOM_WARNING, ROOM_ERROR = 100 * MIB, 10 * MIB  # bytes
INODES_WARNING, INODES_ERROR = 1000, 50
_WRITE = 0o3  # write and search, as one digit of a mode
_READ = 0o5


def may(facts: os.stat_result, uid: int, groups: frozenset[int], wanted: int) -> bool:
    """Return whether a user may do all of wanted (a digit of a mode) by owner, group and mode alone."""
    if uid == 0:
        return True
    shift = 6 if facts.st_uid == uid else 3 if facts.st_gid in groups else 0
    return facts.st_mode >> shift & wanted == wanted


def _who(config: Config) -> tuple[int, frozenset[int]]:
    """Return user id and groups of loncUser; of whoever runs this when there is no such user (told elsewhere)."""
    uid = user_id(config.user)
    if uid is None:
        return os.geteuid(), frozenset(os.getgroups())
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return uid, frozenset()
    return uid, frozenset(os.getgrouplist(entry.pw_name, entry.pw_gid))


def directories(here: Snapshot) -> list[Finding]:
    """Check the directories: there, usable by loncUser, and not open to those they should be closed to."""
    config = here.config
    uid, groups = _who(config)
    found: list[Finding] = []
    for name, path, wanted, level in (
        ("logs/", config.logs_dir, _WRITE, Level.ERROR),
        ("lonSockDir", config.sock_dir, _WRITE, Level.ERROR),
        ("lonTabDir", config.tab_dir, _READ, Level.ERROR),
        ("lon-status/", os.path.dirname(config.status_path), _WRITE, Level.WARNING),
    ):
        found += _directory(name, path, wanted, level, uid, groups, config.user)
    for path, others, word in (
        (config.sock_dir, stat.S_IXOTH, "any user of this machine can reach the sockets, which are 0660"),
        (config.delayed_dir, 0o007, "others can see the names of messages"),
        *((os.path.join(config.delayed_dir, name), 0o007, "others can see the names of messages")
          for name in ("rejected", "corrupt", "held")),
    ):  # fmt: skip
        found += _closed(path, others, word)
    if os.path.isdir(config.delayed_dir):
        found += _directory("delayed/", config.delayed_dir, _WRITE, Level.ERROR, uid, groups, config.user)
    return found or [Finding("directories", Level.OK, f"usable by {config.user}, closed to others")]


def lond_directories(here: Snapshot) -> list[Finding]:
    """Check the directories that lond alone needs."""
    config = here.config
    uid, groups = _who(config)
    return [
        *_directory("lonUsersDir", config.users_dir, _WRITE, Level.ERROR, uid, groups, config.user),
        *_directory("lonIDsDir", config.ids_dir, _READ, Level.WARNING, uid, groups, config.user),
    ]


def _directory(
    name: str, path: str, wanted: int, level: Level, uid: int, groups: frozenset[int], user: str
) -> list[Finding]:
    try:
        facts = os.stat(path)
    except OSError as error:
        if name == "lonSockDir" and error.errno == errno.ENOENT and os.path.isdir(os.path.dirname(path)):
            return [Finding("directories", Level.OK, f"{path} ({name}) is made at the start")]
        remedy = f"make it: install -d -o {user} {path}"
        return [Finding("directories", level, f"{path} ({name}): {(error.strerror or '').lower()}", remedy)]
    if not stat.S_ISDIR(facts.st_mode):
        return [Finding("directories", level, f"{path} ({name}) is no directory", "put a directory there")]
    if not may(facts, uid, groups, wanted):
        what = "write into" if wanted == _WRITE else "read"
        text = f"{user} may not {what} {path} ({name}, mode {stat.S_IMODE(facts.st_mode):04o})"
        return [Finding("directories", level, text, f"chown {user} {path}, or mend its mode")]
    return []


def _closed(path: str, others: int, word: str) -> list[Finding]:
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
    except OSError:
        return []  # told above, or made when it is needed
    if not mode & others:
        return []
    return [Finding("directories", Level.WARNING, f"{path} is open to others (mode {mode:04o}): {word}",
                    f"chmod o-rwx {path}")]  # fmt: skip


def files(here: Snapshot) -> list[Finding]:
    """Check the files of logs/ that there are: of the right kind and user, and closed to others."""
    config = here.config
    uid, _groups = _who(config)
    found: list[Finding] = []
    for path, others in (
        (config.log_path, 0o007),
        (config.perm_log_path, 0o007),
        (config.lock_path, 0o077),
        (config.scoreboard_path, 0o007),
        (config.pid_path, 0o022),
        (config.wanted_path, 0o022),
    ):
        found += _file(path, others, uid, foreign_is_error=path == config.lock_path)
    return found or [Finding("files", Level.OK, "those of logs/ are in order")]


def _file(path: str, others: int, uid: int, *, foreign_is_error: bool) -> list[Finding]:
    try:
        facts = os.lstat(path)
    except OSError:
        return []  # made when it is needed
    if not stat.S_ISREG(facts.st_mode):
        text = f"{path} is no regular file"
        return [Finding("files", Level.ERROR, text, f"move away what lies at {path}")]
    found = []
    if facts.st_uid not in (uid, 0) or (foreign_is_error and facts.st_uid != uid):
        level = Level.ERROR if foreign_is_error else Level.WARNING
        text = f"{path} belongs to user id {facts.st_uid}, not to the daemon's user ({uid})"
        found.append(Finding("files", level, text, f"chown it to user id {uid}"))
    if facts.st_mode & others:
        text = f"{path} has mode {stat.S_IMODE(facts.st_mode):04o}, which is more than it should"
        remedy = f"chmod {stat.S_IMODE(facts.st_mode) & ~others:04o} {path}"
        found.append(Finding("files", Level.WARNING, text, remedy))
    return found


def room(here: Snapshot) -> list[Finding]:
    """Check bytes and inodes that are left where lonc and lond write."""
    config = here.config
    places = [config.logs_dir, config.sock_dir, config.delayed_dir, config.users_dir, config.doc_root]
    found = []
    known = rooms(places)
    for one in known:
        level = _level(one.bytes_free, ROOM_WARNING, ROOM_ERROR)
        if level is not Level.OK:
            text = f"{one.bytes_free // MIB} MiB are left on the file system of {one.path}"
            found.append(Finding("room", level, text, "make room there: what cannot be written is lost"))
        level = _level(one.inodes_free, INODES_WARNING, INODES_ERROR) if one.inodes_free >= 0 else Level.OK
        if level is not Level.OK:
            text = f"{one.inodes_free} more files can be made on the file system of {one.path} (inodes)"
            found.append(Finding("room", level, text, "remove files there: each message is one"))
    least = min((one.bytes_free for one in known), default=0)
    return found or [Finding("room", Level.OK, f"at least {least // MIB} MiB are left wherever is written")]


def _level(left: int, warning: int, error: int) -> Level:
    return Level.ERROR if left < error else Level.WARNING if left < warning else Level.OK


def socket_paths(here: Snapshot) -> list[Finding]:
    """Check the lengths of the sockets' paths against what the system allows."""
    if here.table is None:
        return []
    refused = [host.id for host in here.table.refused]
    if refused:
        text = f"the socket paths of {len(refused)} peers are too long, so they are not served: {_few(refused)}"
        return [Finding("socket paths", Level.ERROR, text, "a shorter lonSockDir")]
    longest = max(len(os.fsencode(here.config.socket_path(host.id))) for host in here.table.hosts)
    return [Finding("socket paths", Level.OK, f"the longest has {longest} of {SOCKET_PATH_LIMIT} bytes")]


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
