"""Owns the harness of lond's commands: sessions of any lines on a real store, each with one line for an answer.

An input is a list of lines; one that begins with `!` came encrypted. The store is a new one for each input.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import argon2

from lonc.lond.commands import passwords
from lonc.lond.commands.table import TABLE
from lonc.lond.store import open_store
from tests.fuzz.harness import Harness, rule, scratch
from tests.unit.command_stage import GOOD
from tests.unit.resource_stage import ResourceStage

LINES = 6  # of one input that are carried out


@functools.cache
def _stage() -> ResourceStage:
    root = scratch("commands") / "server"
    root.mkdir()
    stage = ResourceStage(root)
    stage.config = replace(stage.config, regexp_timeout_s=0.1)
    stage.context = replace(stage.context, config=stage.config)
    (stage.root / "lonTabDir" / "managers.tab").write_text("there\n")
    (stage.root / "lonDaemons" / "logs").mkdir(exist_ok=True)
    stage.store.close()
    shutil.copytree(stage.root, f"{stage.root}.good", symlinks=True)
    return stage


@contextmanager
def _cheap_passwords() -> Iterator[None]:
    """Have new passwords hashed by the same library with less work: the fuzzing is not about its strength."""
    before = passwords._HASHER, passwords._NOBODY
    cheap = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    passwords._HASHER, passwords._NOBODY = cheap, _cheap_hash()  # type: ignore[misc]  # Final outside of tests
    try:
        yield
    finally:
        passwords._HASHER, passwords._NOBODY = before  # type: ignore[misc]  # as above


@functools.cache
def _cheap_hash() -> bytes:
    return argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("nobody").encode()


def commands(data: bytes) -> None:
    """Whatever clients ask: one line each, no fault of the program, nothing outside of the server's own places."""
    stage = _stage()
    for name in ("lonUsersDir", "html", "lonDaemons"):
        shutil.rmtree(stage.root / name, ignore_errors=True)
        shutil.copytree(f"{stage.root}.good/{name}", stage.root / name, symlinks=True)
    stage.store = open_store(stage.config)
    stage.context = replace(stage.context, store=stage.store)
    stage.log_path.unlink(missing_ok=True)
    try:
        with _cheap_passwords():
            for line in data.split(b"\n")[:LINES]:
                _ask(stage, line)
    finally:
        stage.store.close()
    rule("A fault of the program" not in stage.log, f"a fault of the program: {stage.log[-300:]}")
    rule(stage.log.count("\n") <= 2 * LINES, "a log of many lines")
    rule(set(os.listdir(stage.root)) <= {*os.listdir(f"{stage.root}.good"), "lond.log"},
        "something was made outside of the server's places")


def _ask(stage: ResourceStage, line: bytes) -> None:
    encrypted = line.startswith(b"!")
    line = line.removeprefix(b"!")
    reply = stage.ask(line, encrypted=encrypted)
    rule(b"\n" not in reply.line, "an answer of two lines")
    row = TABLE.get(line.partition(b":")[0])
    if row is None:
        rule(reply.line == b"unknown_cmd", "an answer to what is no command")
    elif row.encrypted and not encrypted:
        rule(reply.line == b"refused", "a command that needs a key was carried out without one")


_LINES = (
    *(b"!" + line.encode() for line, _ in GOOD),
    b"auth:home:bert:secret%21", b"makeuser:home:bert:internal:x",
    b"passwd:home:anna:a:b\nrolesput:home:anna:home:b:r=1",
    b"sub:/home/httpd/html/res/home/anna/a/x.html", b"!update:/home/httpd/html/res/home/anna/a/x.html",
    b"ls:/home/httpd/html/res/home/anna", b"stat:/home/httpd/html/res/home/anna/../anna/a", b"ls:", b"load",
    b"userload",
    b"!reinit:lonc", b"!pushfile:host:here1:home:library:here.example:127.0.0.1", b"!pushfile:domain:x",
    b"dump:home:anna:notes:%28a%2a%29%2a%24:1-2", b"unsub:/home/httpd/html/res/home/anna/a/x.html", b"ping:",
    b"pong:x",
)  # fmt: skip
HARNESSES = (
    Harness(
        "commands", commands, 8,
        (*(b"\n!" + word + b":" for word in TABLE), b"home:anna", b":", b"&", b"=", b"%", b"%00", b"%2e%2e",
        b"..", b"/",
         b"%ff", b"\0", b"roles", b"nohist_x", b"*", b"%28", b"-1"),
        (*_LINES, b"\n".join(_LINES[3:8]), b"\n".join(_LINES[9:15]), b"\n".join(_LINES[16:22])), 2048,
    ),
)  # fmt: skip
