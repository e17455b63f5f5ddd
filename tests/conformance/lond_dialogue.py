"""Owns the cases for a lond on the opening dialogue: its answers, in whatever order the rows come."""

from __future__ import annotations

import itertools
import re

from tests.conformance.lond_stage import BOOK, Call, LondStage
from tests.conformance.model import expect, require

case = BOOK.case


def closed_with(call: Call, line: bytes, answer: bytes = b"refused") -> None:
    """Check that this line is answered so, and the connection closed behind it."""
    call.send(line)
    call.expect(answer)
    call.end()


def row(stage: LondStage, call: Call, word: bytes) -> None:
    """Say one of the rows 3 to 6 and check its answer."""
    if word == b"sethost":
        expect(call.ask(b"sethost:" + stage.target.peer), b"ok")
    elif word == b"version":
        answer = call.ask(b"version:conformance")
        require(answer.startswith(b"version:"), "version:...", answer)
    elif word == b"pong":
        answer = call.ask(b"pong")
        require(answer.startswith(stage.target.peer), f"a line that begins {stage.target.peer!r}", answer)
    else:
        answer = call.ask(b"ekey")
        require(re.fullmatch(rb"[0-9A-Za-z]+", answer), "digits and letters", answer)


@case("2.51", "`init` is answered by a challenge.")
def challenge(stage: LondStage) -> None:
    """Check that it is a line that is neither empty nor a refusal."""
    answer = stage.call().ask(b"init")
    require(answer not in (b"", b"refused", b"bye", b"ok"), "a challenge", answer)


@case("2.52", "Nothing is said before `init`.")
def silent(stage: LondStage) -> None:
    """Check that lond waits."""
    call = stage.call()
    call.fill(0.1)
    call.nothing_yet("nobody has asked")
    call.greet()


@case("2.53", "Each connection has a challenge of its own.")
def own_challenge(stage: LondStage) -> None:
    """Check two connections."""
    first, second = (stage.call().ask(b"init") for _ in range(2))
    require(first != second, "two challenges", first)


@case("2.54", "The challenge, byte for byte, is answered `ok`.")
def echo(stage: LondStage) -> None:
    """Check row 2."""
    stage.call().greet()


@case("2.55", "A wrong echo is answered `refused`, and the connection is closed.")
def wrong_echo(stage: LondStage) -> None:
    """Check an echo with one character more."""
    call = stage.call()
    closed_with(call, call.ask(b"init") + b"x")


@case("2.56", "A first line that is not `init` is answered `refused`, and the connection is closed.")
def no_init(stage: LondStage) -> None:
    """Check a request before the dialogue."""
    closed_with(stage.call(), b"ping")


@case("2.57", "`init` with an argument, as later generations say it, is taken as `init` where that is allowed.")
def later_init(stage: LondStage) -> None:
    """Check `init:ssl` for a challenge, or a refusal in order."""
    call = stage.call()
    answer = call.ask(b"init:ssl:1")
    if answer in (b"refused", b"bye"):
        call.end()
        return
    call.send(answer)
    call.expect(b"ok")


@case("2.58", "`sethost` with an id of this server is answered `ok`.")
def sethost(stage: LondStage) -> None:
    """Check row 3."""
    row(stage, stage.link(), b"sethost")


@case("2.59", "`sethost` with another id is not `ok`, and the connection goes on.")
def sethost_foreign(stage: LondStage) -> None:
    """Check an id that nobody has."""
    link = stage.link()
    own = link.ask(b"ping")
    answer = link.ask(b"sethost:no-such-id")
    require(answer != b"ok", "another line than ok", answer)
    expect(link.ask(b"ping"), own)


@case("2.60", "`sethost` chooses among the ids of a server, and `ping` answers the chosen one.", needs=("second",))
def sethost_second(stage: LondStage) -> None:
    """Check both ids on one connection."""
    link = stage.link()
    for name in (stage.target.second, stage.target.peer):
        expect(link.ask(b"sethost:" + name), b"ok")
        expect(link.ask(b"ping"), name)


@case("2.61", "`version:` is answered by `version:` and the server's own.")
def version(stage: LondStage) -> None:
    """Check row 4."""
    row(stage, stage.link(), b"version")


@case("2.62", "`version` without an argument, as a later lonc says it, is answered in the same way.")
def bare_version(stage: LondStage) -> None:
    """Check the bare word."""
    answer = stage.link().ask(b"version")
    require(answer.startswith(b"version:"), "version:...", answer)


@case("2.63", "`pong` is answered by a line that begins with the server's id.")
def pong(stage: LondStage) -> None:
    """Check row 5, whatever the way back brings."""
    row(stage, stage.link(), b"pong")


@case("2.64", "`pong` is answered by the id, a colon, and what the ping on the way back brought.")
def pong_form(stage: LondStage) -> None:
    """Check that something stands behind the colon: our id, or con_lost."""
    answer = stage.link().ask(b"pong")
    head = stage.target.peer + b":"
    require(answer.startswith(head) and len(answer) > len(head), f"{head!r} and an answer", answer)


@case("2.65", "`ekey` is answered by the build key, a line of digits and letters.")
def ekey(stage: LondStage) -> None:
    """Check row 6."""
    row(stage, stage.link(), b"ekey")


@case("2.66", "The rows 3 to 6 may come in any order.")
def any_order(stage: LondStage) -> None:
    """Check all orders of sethost, version and ekey, pong last since it may be slow."""
    for words in itertools.permutations((b"sethost", b"version", b"ekey")):
        link = stage.link()
        for word in words:
            row(stage, link, word)
    row(stage, link, b"pong")


@case("2.67", "Each of the rows 3 to 6 may be missing.")
def any_missing(stage: LondStage) -> None:
    """Check a connection that says none, and one that says ekey alone and uses its key."""
    require(stage.link().ask(b"ping"), "an id", "an empty line")
    link = stage.link()
    link.agree()
    reply = link.secret(stage.mark())
    require(not reply.startswith(b"error"), "an answer to the command", reply)


@case("2.68", "The rows 3 to 6 may be said again.")
def repeated(stage: LondStage) -> None:
    """Check each twice."""
    link = stage.link()
    for word in (b"sethost", b"version", b"ekey") * 2:
        row(stage, link, word)


@case("2.69", "The rows 3 to 6 may come between ordinary requests.")
def between(stage: LondStage) -> None:
    """Check a ping behind each."""
    link = stage.link()
    own = link.ask(b"ping")
    for word in (b"version", b"ekey", b"sethost"):
        row(stage, link, word)
        expect(link.ask(b"ping"), own)


@case("2.70", "The rows may be written without waiting for their answers.")
def at_once(stage: LondStage) -> None:
    """Check three rows and a request in one write."""
    link = stage.link()
    link.send(b"sethost:" + stage.target.peer, b"version:conformance", b"ekey", b"ping")
    link.expect(b"ok")
    require(link.line().startswith(b"version:"), "version:...", "another line")
    require(link.line().isalnum(), "a build key", "another line")
    link.expect(stage.target.peer)


@case("2.71", "`exit` is answered `bye`, and the connection is closed.")
def leave(stage: LondStage) -> None:
    """Check the end in order."""
    closed_with(stage.link(), b"exit", b"bye")


@case("2.72", "What follows `exit` has no answer.")
def behind_exit(stage: LondStage) -> None:
    """Check requests behind it in one write."""
    link = stage.link()
    own = link.ask(b"ping")
    link.send(b"ping", b"exit", b"ping")
    link.expect(own)
    link.expect(b"bye")
    link.end()


@case("2.73", "A client whose address is in no table is refused and closed.", needs=("stranger",))
def stranger(stage: LondStage) -> None:
    """Check another address of ours."""
    call = stage.call(stage.target.stranger)
    call.send(b"init")
    call.expect(b"refused", b"bye")
    call.end()


@case("2.74", "`ping` is answered by the server's id.")
def ping(stage: LondStage) -> None:
    """Check the id."""
    link = stage.link()
    link.ask(b"sethost:" + stage.target.peer)
    expect(link.ask(b"ping"), stage.target.peer)


@case("2.75", "`init` is known by its word characters alone.")
def init_with_blanks(stage: LondStage) -> None:
    """Check a carriage return and blanks around the word."""
    answer = stage.call().ask(b" init\r")
    require(answer not in (b"", b"refused", b"bye"), "a challenge", answer)
