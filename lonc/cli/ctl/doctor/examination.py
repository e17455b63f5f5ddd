"""Owns the order of the examination: names, connection, dialogue, requests, way back, web, and this side."""

from __future__ import annotations

import socket
import statistics
import time

from lonc.child.resolver import Address, numeric
from lonc.cli.ctl.doctor import dialing, here, names, verdicts, web
from lonc.cli.ctl.doctor.steps import Limits, Report, Step, Verdict, quoted
from lonc.cli.ctl.doctor.talk import NAMES, Talk, TalkError
from lonc.cli.ctl.doctor.verdicts import Ends
from lonc.cli.ctl.snapshot import Snapshot
from lonc.config import Config, Host, HostTable, Place, via_of
from lonc.errors import CipherError
from lonc.wire import words

PINGS = 5
SLOW_PING_S = 1.0
# A peer whose links are on demand answers the first pong con_lost, and then has a link.
PONG_AGAIN_S = 1.0


def examine(
    config: Config, table: HostTable, host: Host, at_home: Snapshot, limits: Limits, report: Report,
    web_port: int | None,
) -> None:  # fmt: skip
    """Do all steps in order; those that need one that was bad are told as skipped."""
    if names.examine_table(config, table, host, report):
        addresses = names.examine_name(host, limits, report)
        names.examine_reverse(host, addresses, limits, report)
        via = via_of(config, host.id)
        if via is not None:
            addresses = _of_place(via)
        report.add(verdicts.line_step(host.id, [address for _, address in addresses], via))
        sock = dialing.examine_connect(config, addresses, limits, report, via)
        if sock is None:
            for name in (*NAMES, "key", "encrypted", "ping", "way back"):
                report.add(Step(name, Verdict.SKIPPED, "there is no connection"))
        else:
            _examine_link(config, host, sock, limits, report, tunnel=via is not None)
    web.examine_web(config, table, host, limits, report, web_port)
    here.examine_messages(at_home, report)
    here.examine_daemon(at_home, report)


def _of_place(via: Place) -> list[Address]:
    found = numeric(via.address)
    return [found] if found else []


def _examine_link(
    config: Config, host: Host, sock: socket.socket, limits: Limits, report: Report, *, tunnel: bool
) -> None:
    try:
        own_address = str(sock.getsockname()[0])
        ends = Ends(host.id, config.host_id, own_address, limits.step_s, tunnel)
        talk = Talk(config, host, sock, limits.step_s)
        answers = _examine_dialogue(talk, ends, report)
        _examine_requests(talk, ends, answers, report)
    finally:
        sock.close()


def _examine_dialogue(talk: Talk, ends: Ends, report: Report) -> list[bytes]:
    """Tell every row; return what pong has brought."""
    answers = []
    done = 0
    for heard in talk.dialogue():
        report.add(verdicts.judge(heard, ends))
        done += 1
        if heard.step == "pong" and heard.lost is None:
            answers.append(heard.answer)
    for name in NAMES[done:]:
        report.add(Step(name, Verdict.SKIPPED, "the link did not come so far"))
    report.add(verdicts.key_step(ends.peer, ends.own))
    return answers


def _examine_requests(talk: Talk, ends: Ends, answers: list[bytes], report: Report) -> None:
    for name, step in (("encrypted", _encrypted), ("ping", _ping)):
        if talk.usable:
            step(talk, ends, report)
        else:
            report.add(Step(name, Verdict.SKIPPED, "there is no usable link"))
    if answers and answers[0] == ends.peer.encode() + b":" + words.CON_LOST and talk.usable:
        answers += _pong_again(talk)
    if answers:
        report.add(verdicts.way_back_step(answers, ends))
    else:
        report.add(Step("way back", Verdict.SKIPPED, "pong was not answered"))
    usable = talk.usable
    began = time.monotonic()
    answer = talk.leave()
    if usable:
        said = f"it said {quoted(answer)}" if answer else "it closed without a word"
        report.add(Step("exit", Verdict.OK, said, seconds=time.monotonic() - began))


def _pong_again(talk: Talk) -> list[bytes]:
    time.sleep(PONG_AGAIN_S)
    try:
        return [talk.ask(words.PONG)]
    except TalkError:
        return []


def _encrypted(talk: Talk, ends: Ends, report: Report) -> None:
    """Ask an encrypted ping: harmless, and its answer tells whether both have made the same key."""
    began = time.monotonic()
    remedy = f"compare {ends.peer} and {ends.own} in both hosts.tab: the other side makes the key of other ids"
    try:
        reply = talk.ask(talk.link.encrypt(words.PING))
        plain = talk.link.decrypt(reply) if reply.startswith(words.ENC) else reply
    except TalkError as error:
        verdict, text = Verdict.BAD, f"an encrypted ping brought nothing: {error}"
        remedy = "look into lond.log there: a link that does not answer is of no use"
    except CipherError as error:
        verdict, text = Verdict.BAD, f"the encrypted answer cannot be read ({error}): the keys differ"
    else:
        if plain == ends.peer.encode():
            verdict, text, remedy = Verdict.OK, "an encrypted ping was understood: both have the same key", ""
        elif words.is_failure(plain):
            verdict, text = Verdict.BAD, f"an encrypted ping was not understood: {quoted(plain)}: the keys differ"
        else:
            verdict, text = Verdict.WARNING, f"an encrypted ping was answered {quoted(plain)}, not {ends.peer}"
    report.add(Step("encrypted", verdict, text, remedy, time.monotonic() - began))


def _ping(talk: Talk, ends: Ends, report: Report) -> None:
    times: list[float] = []
    try:
        for _ in range(PINGS):
            began = time.monotonic()
            reply = talk.ask(words.PING)
            times.append(time.monotonic() - began)
    except TalkError as error:
        text = f"ping {len(times) + 1} of {PINGS} brought nothing: {error}"
        remedy = "look into lond.log there: it took the link and does not answer requests"
        report.add(Step("ping", Verdict.BAD, text, remedy, time.monotonic() - began))
        return
    middle = statistics.median(times)
    low, mid, high = (seconds * 1000 for seconds in (min(times), middle, max(times)))
    text = f"{PINGS} round trips of {low:.1f} to {high:.1f} ms, median {mid:.1f} ms"
    if reply != ends.peer.encode():
        text += f"; but it answers as {quoted(reply)}"
        remedy = f"compare the lines of {ends.peer} in the hosts.tab of both servers"
        report.add(Step("ping", Verdict.WARNING, text, remedy, sum(times)))
    elif middle > SLOW_PING_S:
        remedy = f"look at the load of {ends.peer} and at the line: every request waits for so long"
        report.add(Step("ping", Verdict.WARNING, f"slow: {text}", remedy, sum(times)))
    else:
        report.add(Step("ping", Verdict.OK, text, seconds=sum(times)))
