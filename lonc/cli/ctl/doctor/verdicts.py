"""Owns what each row of the dialogue means when it goes well and when it does not, in plain words."""

from __future__ import annotations

from dataclasses import dataclass

from lonc.cli.ctl.doctor.steps import Step, Verdict, quoted
from lonc.cli.ctl.doctor.talk import SOCKET_ERROR, Heard
from lonc.config import Place, is_local
from lonc.wire import words
from lonc.wire.cipher import KEY_CHARS
from lonc.wire.link import LostReason

SLOW_S = 2.0  # of one step; people wait for a page that needs several
_KEY_LETTERS = 20  # of a build key, at least (spec wire.md 3)
# What other programs say first, or in answer to `init`.
_OTHERS = ((b"SSH-", "ssh"), (b"220", "a mail or FTP server"), (b"HTTP/", "a web server"), (b"<", "a web server"))


@dataclass(frozen=True, slots=True)
class Ends:
    """Who talks: ids, our address as the peer sees it unless something rewrites it, and the time limit.

    tunnel: loncVia has the peer dialed elsewhere, so that it sees the address of a tunnel's other end.
    """

    peer: str
    own: str
    own_address: str
    limit_s: float
    tunnel: bool = False


def judge(heard: Heard, ends: Ends) -> Step:
    """Return the step that a row of the dialogue amounts to."""
    verdict, text, remedy = _lost(heard, ends) if heard.lost else _ANSWERED[heard.step](heard.answer, ends)
    if verdict is Verdict.OK and heard.seconds > SLOW_S:
        verdict, text = Verdict.WARNING, f"{text}, but slowly"
        remedy = _SLOW_PONG if heard.step == "pong" else f"look at the load of {ends.peer} and at the way there"
    return Step(heard.step, verdict, text, remedy, heard.seconds)


_Judged = tuple[Verdict, str, str]
_SLOW_PONG = "the peer asks back through its own lonc and that is slow: look at the lonc there, and at our lond"


def _init(answer: bytes, _ends: Ends) -> _Judged:
    if other := _other_program(answer):
        return Verdict.BAD, other, _NO_LOND
    return Verdict.OK, f"it sent a challenge of {len(answer)} bytes", ""


def _challenge(_answer: bytes, ends: Ends) -> _Judged:
    where = "the address that the tunnel comes from" if ends.tunnel else f"our address {ends.own_address}"
    return Verdict.OK, f"it knows {where} and took the challenge back", ""


def _sethost(answer: bytes, ends: Ends) -> _Judged:
    if answer == words.OK:
        return Verdict.OK, f"it answers as {ends.peer}", ""
    if answer == words.UNKNOWN_CMD:
        return Verdict.WARNING, "an older lond, which has one id only and does not know sethost", "nothing"
    text = f"it does not answer as {ends.peer}: {quoted(answer)}"
    return Verdict.WARNING, text, f"compare the id {ends.peer} and its address in the hosts.tab of both servers"


def _version(answer: bytes, _ends: Ends) -> _Judged:
    if not answer.startswith(words.VERSION):
        return Verdict.WARNING, f"it does not tell its version: {quoted(answer)}", "nothing: an older lond"
    version, _, remark = answer[len(words.VERSION) :].partition(b":")
    more = f", and adds {quoted(remark)}" if remark else ""
    return Verdict.OK, f"it calls itself {quoted(version)}{more}", ""


def _pong(answer: bytes, ends: Ends) -> _Judged:
    if not answer.startswith(ends.peer.encode()):
        return Verdict.WARNING, f"an answer that does not begin with {ends.peer}: {quoted(answer)}", _WAY_BACK
    return Verdict.OK, "answered; what it says of the way back stands below", ""


def _ekey(answer: bytes, _ends: Ends) -> _Judged:
    if len(answer) < _KEY_LETTERS:
        text = f"a build key of {len(answer)} characters, where at least {_KEY_LETTERS} are usual"
        return Verdict.WARNING, text, "tell the administrator there: a short key is easier to guess"
    return Verdict.OK, f"a build key of {len(answer)} characters", ""


_ANSWERED = {
    "init": _init, "challenge": _challenge, "sethost": _sethost, "version": _version, "pong": _pong, "ekey": _ekey,
}  # fmt: skip


# --- a row that was the end of the link -----------------------------------------------------------------


def _lost(heard: Heard, ends: Ends) -> _Judged:
    assert heard.lost is not None
    answer, reason = heard.answer, heard.lost.reason
    refused = heard.step in ("init", "challenge") and answer in (words.REFUSED, words.BYE)
    if refused and ends.tunnel:
        text = f"it refused us ({quoted(answer)}): its lond does not know the address that the tunnel comes from"
        return Verdict.BAD, text, f"have londVia there name {ends.own} with that address, and its lond restart"
    if refused:
        text = f"it refused us ({quoted(answer)}): its lond does not know our address {ends.own_address}"
        remedy = f"have the line of {ends.own} in the hosts.tab of {ends.peer} say {ends.own_address}"
        return Verdict.BAD, text, f"{remedy}, and its lond read it again"
    if other := _other_program(answer):
        return Verdict.BAD, other, _NO_LOND
    match reason:
        case LostReason.TIMEOUT:
            return Verdict.BAD, f"no answer to {heard.step} within {ends.limit_s:g} s", _STALLS[heard.step]
        case LostReason.EOF:
            return Verdict.BAD, f"it closed the connection instead of answering {heard.step}", _CLOSED
        case LostReason.INIT_FAILED:
            text = f"it did not take its challenge back: {quoted(answer)}"
            return Verdict.BAD, text, f"{_NO_LOND}; or something between the two servers changes what is sent"
        case LostReason.NO_KEY:
            text = f"no build key: {len(answer)} bytes of something else"
            return Verdict.BAD, text, "look into lond.log there; without a key no link is used"
        case LostReason.OUT_OF_STEP | LostReason.TOO_LONG:
            return Verdict.BAD, f"it does not keep to the dialogue: {heard.lost.detail}", _NO_LOND
        case _:
            broke = "the connection broke" if reason == SOCKET_ERROR else reason
            return Verdict.BAD, f"{broke} at {heard.step}: {heard.lost.detail.lower()}", _CLOSED


def _other_program(answer: bytes) -> str:
    """Return what the answer sounds like if that is another program; empty when it may be lond."""
    found = next((program for start, program in _OTHERS if answer.startswith(start)), "")
    return f"this sounds like {found}, not like lond: {quoted(answer)}" if found else ""


_NO_LOND = "look whether it is lond that listens at that port: compare londPort of both servers"
_CLOSED = "look into lond.log there: it ended, restarted, or has no worker left; or a firewall cut the connection"
_HANGS = "the other lond hangs or is overloaded: look at its processes, load and disk, and restart it"
_WAY_BACK = "have the administrator there run `loncctl doctor` for us"
_STALLS = {
    "init": f"{_HANGS}; if it is always so, it may be no lond, or a firewall that answers in its place",
    "challenge": _HANGS,
    "sethost": _HANGS,
    "version": _HANGS,
    "pong": "the peer asks back through its own lonc, which hangs, or reaches our lond and gets no answer: "
    "restart the lonc there, look at our lond; `loncPong off` here lets the link come up meanwhile",
    "ekey": _HANGS,
}


# --- what follows from an agreed link -------------------------------------------------------------------


def key_step(peer: str, own: str) -> Step:
    """Say how good the key is: it depends on the two ids alone (spec wire.md 3)."""
    names = len(peer.encode()) + len(own.encode())
    plainly = (
        "this key of IDEA is made of both ids and of a number that travels in clear: it hides nothing from "
        "whoever listens to the line"
    )
    if names >= KEY_CHARS:
        text = f"the ids have {names} characters together, so the key is the same for every connection; {plainly}"
        return Step("key", Verdict.WARNING, text, "shorter ids, or a tunnel (VPN, TLS) between the two servers")
    count = KEY_CHARS - names
    text = f"{count} of its {KEY_CHARS} characters are new for each connection; {plainly}"
    return Step("key", Verdict.OK, text)


def line_step(peer: str, addresses: list[str], via: Place | None) -> Step:
    """Say who can read along on the way to the peer. addresses: those that are dialed; via: that of loncVia."""
    if via is not None and is_local(via.address):
        text = f"dialed at {via}, by loncVia, in place of its own address: what encrypts is the tunnel there"
        return Step("line", Verdict.OK, text)
    if via is not None:
        text = f"dialed at {via}, by loncVia: until it is there, all goes in clear"
        return Step("line", Verdict.WARNING, text, "let the tunnel begin here, at an address of 127.0.0.0/8")
    if addresses and all(map(is_local, addresses)):
        return Step("line", Verdict.OK, "it does not leave this machine")
    text = "all goes in clear but for `encrypt:` commands, whose key is no secret to whoever listens"
    remedy = f"if somebody could listen there: a TLS tunnel, with `loncVia {peer}=127.0.0.1:PORT`, or a VPN"
    return Step("line", Verdict.OK, text, remedy)


def way_back_step(answers: list[bytes], ends: Ends) -> Step:
    """Explain what pong has brought; answers: each that was asked for, in order, at least one."""
    text, peer, own = answers[-1], ends.peer.encode(), ends.own.encode()
    if not text.startswith(peer + b":"):
        told = f"it does not tell: {quoted(text)}"
        return Step("way back", Verdict.WARNING, told, _WAY_BACK)
    back = text[len(peer) + 1 :]
    again = ", also when asked again" if len(answers) > 1 else ""
    if back == own:
        return Step("way back", Verdict.OK, f"open: {ends.peer} reaches our lond, which answers as {ends.own}")
    if back == words.CON_LOST:
        told = f"{ends.peer} has no link to us (con_lost){again}: its requests to {ends.own} fail"
        remedy = (
            f"look whether our lond runs and its port is open to {ends.peer}; then at the lonc there: its own "
            f"`loncctl doctor {ends.own}`"
        )
        return Step("way back", Verdict.BAD, told, remedy)
    if not back or words.is_failure(back) or back == words.CON_FAILED:
        told = f"{ends.peer} asked back and got {quoted(back)}{again}"
        remedy = f"look there whether its hosts.tab has {ends.own}, and whether its lonc runs"
        return Step("way back", Verdict.BAD, told, remedy)
    told = f"{ends.peer} asked back and was answered as {quoted(back)}, which is not our id {ends.own}"
    remedy = f"compare lonHostID here with the line of {ends.own_address} in the hosts.tab of both servers"
    return Step("way back", Verdict.WARNING, told, remedy)
