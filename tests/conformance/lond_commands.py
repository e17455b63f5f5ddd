"""Owns the cases for a lond on escaped data, words, and the commands that every server answers."""

from __future__ import annotations

import re

from tests.conformance.lond_stage import BOOK, LondStage
from tests.conformance.model import expect, require

NEEDS_USER = ("user",)
NOBODY = b"no_such_domain:no_such_user"
ENCRYPTED_ONLY = (
    b"currentauth:" + NOBODY,
    b"auth:" + NOBODY + b":x",
    b"passwd:" + NOBODY + b":x:y",
    b"makeuser:" + NOBODY + b":internal:x",
    b"changeuserauth:" + NOBODY + b":internal:x",
    b"rolesput:" + NOBODY + b":" + NOBODY + b":k=v",
    b"rolesdel:" + NOBODY + b":" + NOBODY + b":k",
    b"reinit:lonc",
)
case = BOOK.case


def place(stage: LondStage) -> bytes:
    """Return what stands between a command and its data: the user and a namespace of the suite's own."""
    return stage.target.user + b":nohist_conformance:"


@case("5.51", "Escaped data is understood in either case of its digits.", needs=NEEDS_USER)
def either_case(stage: LondStage) -> None:
    """Check an expression of `dump` in both."""
    link, where = stage.link(), place(stage)
    expect(link.ask(b"put:" + where + b"key_one=1&other=2"), b"ok")
    for expression in (b"%5Ekey", b"%5ekey"):
        expect(link.ask(b"dump:" + where + expression), b"key_one=1")
    expect(link.ask(b"del:" + where + b"key_one&other"), b"ok")


@case("5.52", "A list is `k=v&k=v`; keys and values come back escaped as they were given.", needs=NEEDS_USER)
def lists(stage: LondStage) -> None:
    """Check data that holds structure characters."""
    link, where = stage.link(), place(stage)
    expect(link.ask(b"put:" + where + b"a%3db=1%262&c=%25"), b"ok")
    expect(link.ask(b"get:" + where + b"c&a%3db"), b"%25&1%262")
    expect(link.ask(b"del:" + where + b"a%3db&c"), b"ok")


@case("6.51", "A command that is none is `unknown_cmd`.")
def unknown(stage: LondStage) -> None:
    """Check words that are none, one of them a command in capitals."""
    link = stage.link()
    for line in (stage.mark(), b"PING", b"con_lost", b":"):
        expect(link.ask(line), b"unknown_cmd")


@case("6.52", "An empty request is `unknown_cmd`.")
def empty(stage: LondStage) -> None:
    """Check the empty line."""
    expect(stage.link().ask(b""), b"unknown_cmd")


@case("6.53", "Commands that must come encrypted are `refused` in clear.")
def refused(stage: LondStage) -> None:
    """Check each of them, for a user who is not there."""
    link = stage.link()
    for line in ENCRYPTED_ONLY:
        reply = link.ask(line)
        require(reply == b"refused", f"refused for {line.partition(b':')[0].decode()}", reply)


@case("10.51", "`load` is a number.")
def load(stage: LondStage) -> None:
    """Check its form."""
    reply = stage.link().ask(b"load")
    require(re.fullmatch(rb"\d+(\.\d+)?(e-?\d+)?", reply), "a number", reply)


@case("10.52", "`userload` is a number.")
def userload(stage: LondStage) -> None:
    """Check its form."""
    reply = stage.link().ask(b"userload")
    require(re.fullmatch(rb"\d+(\.\d+)?(e-?\d+)?", reply), "a number", reply)


@case("10.53", "`home` of nobody is `not_found`.")
def home_nobody(stage: LondStage) -> None:
    """Check an unknown user."""
    expect(stage.link().ask(b"home:" + NOBODY), b"not_found")


@case("10.54", "`home` of a user who is at home there is `found`.", needs=NEEDS_USER)
def home(stage: LondStage) -> None:
    """Check the given user."""
    expect(stage.link().ask(b"home:" + stage.target.user), b"found")


@case("10.55", "`auth` of nobody, encrypted, is `unknown_user`.")
def auth_nobody(stage: LondStage) -> None:
    """Check that it is carried out when it came as a frame."""
    expect(stage.keyed().secret(b"auth:" + NOBODY + b":x"), b"unknown_user")


@case("10.56", "`auth` with a wrong password is `non_authorized`.", needs=NEEDS_USER)
def auth_wrong(stage: LondStage) -> None:
    """Check the given user with a password that cannot be right."""
    expect(stage.keyed().secret(b"auth:" + stage.target.user + b":" + b"wrong" * 20), b"non_authorized")


@case("10.57", "`get` answers in the order of the keys; a missing one is empty.", needs=NEEDS_USER)
def get(stage: LondStage) -> None:
    """Check three keys of which one is missing."""
    link, where = stage.link(), place(stage)
    expect(link.ask(b"put:" + where + b"a=1&b=2"), b"ok")
    expect(link.ask(b"get:" + where + b"b&missing&a"), b"2&&1")
    expect(link.ask(b"del:" + where + b"a&b"), b"ok")
    expect(link.ask(b"get:" + where + b"a&b"), b"&")


@case("10.58", "`keys` answers the keys with `&` between them.", needs=NEEDS_USER)
def keys(stage: LondStage) -> None:
    """Check two keys, in any order."""
    link, where = stage.link(), place(stage)
    expect(link.ask(b"put:" + where + b"a=1&b=2"), b"ok")
    reply = link.ask(b"keys:" + where[:-1])
    expect(link.ask(b"del:" + where + b"a&b"), b"ok")
    require(sorted(reply.split(b"&")) == [b"a", b"b"], "a&b", reply)


@case("10.59", "A request sees what the requests before it have changed.", needs=NEEDS_USER)
def in_sequence(stage: LondStage) -> None:
    """Check puts and gets in one write."""
    link, where = stage.link(), place(stage)
    for number in range(10):
        link.send(b"put:" + where + b"n=%d" % number, b"get:" + where + b"n")
    link.send(b"del:" + where + b"n")
    for number in range(10):
        link.expect(b"ok")
        link.expect(b"%d" % number)
    link.expect(b"ok")


@case("10.60", "`inc` adds to a number.", needs=NEEDS_USER)
def inc(stage: LondStage) -> None:
    """Check a missing value and one that is there."""
    link, where = stage.link(), place(stage)
    for _ in range(2):
        expect(link.ask(b"inc:" + where + b"n=3"), b"ok")
    expect(link.ask(b"get:" + where + b"n"), b"6")
    expect(link.ask(b"del:" + where + b"n"), b"ok")


@case("10.61", "`put` into the namespace `roles` is `refused`.", needs=NEEDS_USER)
def roles(stage: LondStage) -> None:
    """Check the namespace that has commands of its own."""
    expect(stage.link().ask(b"put:" + stage.target.user + b":roles:k=v"), b"refused")


@case("10.62", "`newput` of a key that exists is an error.", needs=NEEDS_USER)
def newput(stage: LondStage) -> None:
    """Check a new key and the same again."""
    link, where = stage.link(), place(stage)
    expect(link.ask(b"newput:" + where + b"fresh=1"), b"ok")
    reply = link.ask(b"newput:" + where + b"fresh=2")
    expect(link.ask(b"del:" + where + b"fresh"), b"ok")
    require(reply.startswith(b"error"), "error...", reply)


@case("10.63", "`tmpput` answers an id under which `tmpget` finds the data until `tmpdel`.")
def temporary(stage: LondStage) -> None:
    """Check the way of temporary data."""
    link = stage.link()
    name = link.ask(b"tmpput:some%20data")
    expect(link.ask(b"tmpget:" + name), b"some%20data")
    expect(link.ask(b"tmpdel:" + name), b"ok")
    reply = link.ask(b"tmpget:" + name)
    require(reply != b"some%20data", "no data any more", reply)


@case("10.64", "`sub` of a resource outside of the resources is `rejected` or `not_found`.")
def outside(stage: LondStage) -> None:
    """Check a path that leads out."""
    expect(stage.link().ask(b"sub:/home/httpd/html/res/../../../../etc/passwd"), b"rejected", b"not_found")


@case("10.65", "`ls` of a directory that is not there is `no_such_dir`.")
def no_directory(stage: LondStage) -> None:
    """Check a name that nobody has."""
    expect(stage.link().ask(b"ls:/home/httpd/html/res/no_such_domain/no_such_user"), b"no_such_dir")


@case("10.66", "`unsub` of a resource to which we have not subscribed is `not_subscribed`.", ours="D81")
def not_subscribed(stage: LondStage) -> None:
    """Check a resource that is not there."""
    path = b"/home/httpd/html/res/no_such_domain/no_such_user/nothing.html"
    expect(stage.link().ask(b"unsub:" + path), b"not_subscribed", b"not_found", b"rejected")


@case("10.67", "A command for a user who is not at home there changes nothing and is an error.", ours="D77")
def not_home(stage: LondStage) -> None:
    """Check a put for nobody."""
    reply = stage.link().ask(b"put:" + NOBODY + b":nohist_conformance:k=v")
    require(reply.startswith(b"error"), "error...", reply)
