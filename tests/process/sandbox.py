"""Runs a command inside the part of a unit's sandbox that needs no systemd: python sandbox.py UNIT COMMAND...

The unit's own lines are read: SystemCallFilter (its groups expanded by systemd-analyze), RestrictAddressFamilies,
MemoryDenyWriteExecute, an empty CapabilityBoundingSet, NoNewPrivileges. The filter is loaded through libseccomp,
which systemd brings, and holds for everything that the command starts.
Source: systemd.exec(5), seccomp_rule_add(3).
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ALLOW = 0x7FFF0000
EQUAL, MASKED_EQUAL = 4, 7
_CAPBSET_READ, _CAPBSET_DROP = 23, 24  # linux/prctl.h


class _Comparison(ctypes.Structure):
    """struct scmp_arg_cmp"""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def lacking() -> str:
    """Return what is not here of what a sandbox needs; '' when there is everything."""
    if shutil.which("systemd-analyze") is None:
        return "systemd-analyze is not installed: apt-get install systemd"
    try:
        ctypes.CDLL("libseccomp.so.2")
    except OSError:
        return "libseccomp is not installed: apt-get install libseccomp2"
    return ""


def settings(unit: Path) -> dict[str, list[str]]:
    """Return the values of every setting of a unit, in order."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text("utf-8").splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith(("#", ";")):
            found.setdefault(name, []).append(value)
    return found


def allowed_calls(filters: Iterable[str]) -> set[str]:
    """Return the system calls that lines of SystemCallFilter= leave; the first line is a list of allowed ones."""
    groups = _groups()
    allowed = set(_expand(["@default"], groups))
    for line in filters:
        names = set(_expand(line.removeprefix("~").split(), groups))
        allowed = allowed - names if line.startswith("~") else allowed | names
    return allowed | set(_expand(["@default"], groups))


def _groups() -> dict[str, list[str]]:
    done = subprocess.run(["systemd-analyze", "syscall-filter"], capture_output=True, text=True, check=True)
    groups: dict[str, list[str]] = {}
    name = ""
    for line in done.stdout.splitlines():
        word = line.strip()
        if line.startswith("@"):
            name = word
        elif word and not word.startswith("#") and line.startswith(" "):
            groups.setdefault(name, []).append(word)
    return groups


def _expand(names: Iterable[str], groups: dict[str, list[str]]) -> Iterable[str]:
    for name in names:
        if name.startswith("@"):
            yield from _expand(groups[name], groups)
        else:
            yield name


def load_filter(unit: Path) -> None:
    """Let this process and all that it starts do only what the unit allows."""
    found = settings(unit)
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(0x00050000 | errno.EPERM))

    def allow(name: str, *comparisons: tuple[int, int, int, int]) -> None:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number < 0:  # of another machine
            return
        array = (_Comparison * max(len(comparisons), 1))(*(_Comparison(*one) for one in comparisons))
        failed = library.seccomp_rule_add_array(context, ctypes.c_uint32(ALLOW), number, len(comparisons), array)
        assert not failed, (name, failed)

    for name in sorted(allowed_calls(found["SystemCallFilter"]) - {"socket", "mmap", "mprotect", "clone3"}):
        allow(name)
    for family in found["RestrictAddressFamilies"][0].split():
        allow("socket", (0, EQUAL, int(getattr(socket, family)), 0))
    allow("mmap", (2, MASKED_EQUAL, mmap.PROT_EXEC, 0))
    allow("mmap", (2, MASKED_EQUAL, mmap.PROT_EXEC | mmap.PROT_WRITE, mmap.PROT_EXEC))
    allow("mprotect", (2, MASKED_EQUAL, mmap.PROT_EXEC, 0))
    # As systemd has it with RestrictNamespaces: its flags cannot be looked at, and libraries then call clone.
    clone3 = library.seccomp_syscall_resolve_name(b"clone3")
    library.seccomp_rule_add_array(context, ctypes.c_uint32(0x00050000 | errno.ENOSYS), clone3, 0, None)
    assert not library.seccomp_load(context), "the filter cannot be loaded"


def drop_capabilities() -> None:
    """Give up every capability for good, where there are any."""
    library = ctypes.CDLL(None, use_errno=True)
    for number in range(64):
        if library.prctl(_CAPBSET_READ, number, 0, 0, 0) == 1:
            library.prctl(_CAPBSET_DROP, number, 0, 0, 0)


def main() -> None:
    """Become the command."""
    drop_capabilities()  # they go with the exec
    load_filter(Path(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
