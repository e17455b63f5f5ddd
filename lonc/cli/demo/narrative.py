"""What the demonstration shows, in order, and what must be true at each step.

Each step does something to the network, shows the lines that tell of it, and checks the promise behind it;
`_must` ends the story with a DemoError when it does not hold.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from lonc.cli.demo.clients import Tally, ask, crowd, stream_of_clients, tokens
from lonc.cli.demo.network import OWN, Network
from lonc.cli.demo.screen import DemoError, Screen
from lonc.lonnet.network import Network as Library
from lonc.wire import words

CLIENTS = 64
REQUESTS_EACH = 100
PASSWORD, NEW_PASSWORD = "opensesame", "shiboleth"
Stay = Callable[[Network, Screen], None]


def tell(network: Network, screen: Screen, stay: Stay | None = None) -> None:
    """Tell the whole story; stay: what happens between the last step and the end. Raises DemoError."""
    began = time.monotonic()
    _make(network, screen)
    _start(network, screen)
    _talk(network, screen)
    _talk_at_once(network, screen)
    _cut(network, screen)
    kept = _promise(network, screen)
    _mend(network, screen, kept)
    _restart(network, screen)
    if stay is not None:
        stay(network, screen)
    _stop(network, screen)
    if stay is None:
        took = time.monotonic() - began
        screen.say(f"That was all: {took:.1f} s. `bin/demo --stay` leaves the network running.")


def _must(fact: bool, screen: Screen, text: str) -> None:
    """Print what was found to be true, or end the story."""
    if not fact:
        raise DemoError(f"not true: {text}")
    screen.done(text)


def _exchange(network: Network, screen: Screen, exchanges: Iterable[tuple[str, str, str]]) -> None:
    """Send requests, each to a peer, show them and their replies; each must be the expected one."""
    for peer, command, expected in exchanges:
        reply, seconds = ask(network.socket(peer), command.encode())
        screen.show([f"{peer}  {command}  ->  {reply.decode('latin-1')}  ({seconds * 1000:.1f} ms)"])
        if reply != expected.encode():
            raise DemoError(f"{command} was answered {reply!r}, not {expected!r}")


def _make(network: Network, screen: Screen) -> None:
    screen.heading("A network of three servers on this machine")
    network.write_files()
    screen.say(f"Each has a directory of its own in {network.root}; their port is {network.port}; hosts.tab:")
    screen.show(line for line in network.table.splitlines() if not line.startswith("#"))
    screen.say("lond answers other servers and keeps users' data (SQLite here); lonc asks other servers on behalf "
               "of the programs of its own. Each checks its configuration: bin/lond -t, bin/lonc -t")  # fmt: skip
    screen.show(network.servers["oak1"].run("lond", "-t"), "oak1 ")
    screen.show(network.own.run("lonc", "-t"), f"{OWN} ")


def _start(network: Network, screen: Screen) -> None:
    screen.heading("lond and lonc start as the watchdog starts them: in the background, with a pid file")
    for peer, server in network.servers.items():
        if peer != OWN:
            server.start()
    own = network.own
    own.start()
    screen.done(f"the starting commands are back, and {own.logs / 'lonc.pid'} holds {own.pid('lonc')}")
    network.wait_log(" online", count=len(network.servers))
    new = network.new_log()
    screen.say("A whole line of the log, and then, shortened from here on, how a link came up (the answer to "
               "`pong` is what oak1 got when it asked back through its own lonc):")  # fmt: skip
    screen.show(new[-1:])
    screen.log(line for line in new if "[oak1]" in line or "PARENT" in line)
    screen.say("lonc: one parent, and one child with one link for each server. lond: a parent, a worker for each "
               "link, and two that are ready for more (ps -o pid,comm,args):")  # fmt: skip
    screen.show(own.titles("lonc"))
    screen.show(network.servers["oak1"].titles("lond"), "oak1 ")


def _talk(network: Network, screen: Screen) -> None:
    screen.heading("Requests through the UNIX sockets: one line out, one line in")
    value = f"Tuesday%20{os.getpid()}"
    _exchange(network, screen, [
        ("oak1", "ping", "oak1"),
        ("elm1", "ping", "elm1"),
        ("oak1", f"encrypt:makeuser:demo:alice:internal:{PASSWORD}", "ok"),
        ("oak1", "home:demo:alice", "found"),
        ("oak1", f"put:demo:alice:notes:day={value}", "ok"),
        ("oak1", "get:demo:alice:notes:day", value),
        ("oak1", "eget:demo:alice:notes:day", value),
    ])  # fmt: skip
    screen.done("every reply is the right one; what begins with `encrypt:` went out encrypted (IDEA, a new key "
                "for each link), and so came the answer to `eget`")  # fmt: skip
    screen.say("A login check. The password never crosses the wire in clear, and oak1 keeps a salted hash only:")
    _exchange(network, screen, [
        ("oak1", f"encrypt:auth:demo:alice:{PASSWORD}", "authorized"),
        ("oak1", "encrypt:auth:demo:alice:wrong", "non_authorized"),
        ("oak1", f"auth:demo:alice:{PASSWORD}", "refused"),
    ])  # fmt: skip
    screen.say("A record with versions: what was stored, and all of it again, with the time of each version:")
    for score in (7, 9):
        _exchange(network, screen, [("oak1", f"store:demo:alice:grades:quiz1:score={score}", "ok")])
    reply, _ = ask(network.socket("oak1"), b"restore:demo:alice:grades:quiz1")
    screen.show([f"oak1  restore:demo:alice:grades:quiz1  ->  {reply.decode('latin-1')}"])
    _must(b"version=2" in reply and b"1:score=7" in reply and b"2:score=9" in reply, screen,
          "both versions are there")  # fmt: skip
    files = sorted(path for path in network.servers["oak1"].users.rglob("*") if path.suffix == ".sqlite")
    screen.show((f"{path.relative_to(network.root)}  {path.stat().st_size} bytes" for path in files), "oak1 ")


def _talk_at_once(network: Network, screen: Screen) -> None:
    screen.heading(f"{CLIENTS} clients at once")
    reply, _ = ask(network.socket("elm1"), f"encrypt:makeuser:demo:alice:internal:{PASSWORD}".encode())
    replies = [reply]
    for peer in ("oak1", "elm1"):
        reply, _ = ask(network.socket(peer), b"put:demo:alice:tokens:" + tokens(CLIENTS))
        replies.append(reply)
    if replies != [words.OK] * 3:
        raise DemoError(f"the tokens could not be stored: {replies}")
    tally = crowd([network.socket("oak1"), network.socket("elm1")], CLIENTS, REQUESTS_EACH)
    screen.show([str(tally)])
    _must_be_clean(tally, screen, "every client got its own values, in its own order, over one link per peer")


def _must_be_clean(tally: Tally, screen: Screen, text: str) -> None:
    if not tally.clean:
        raise DemoError(f"{tally}; first trouble: {tally.first_trouble or 'none'}")
    screen.done(text)


def _cut(network: Network, screen: Screen) -> None:
    screen.heading("A peer is cut off")
    network.new_log()
    count = network.servers["oak1"].cut_off()
    screen.say(f"oak1 lost its power: {count} processes were killed. For 2 seconds (loncGrace) lonc keeps "
               "requests, since most outages are a restart; then the answer is con_lost:")  # fmt: skip
    network.wait_log("Couldn't connect to oak1")
    command = "get:demo:alice:notes:day"
    for text in ("the first request waits for the grace", "the next is answered at once"):
        reply, seconds = ask(network.socket("oak1"), command.encode())
        screen.show([f"oak1  {command}  ->  {reply.decode()}  ({seconds * 1000:.0f} ms: {text})"])
        if reply != words.CON_LOST:
            raise DemoError(f"a request to a dead peer was answered {reply!r}")
    reply, _ = ask(network.socket("elm1"), b"ping")
    _must(reply == b"elm1", screen, "the other peer is served as before")
    screen.log(network.new_log("lost:", "Couldn't connect"))
    screen.show((title for title in network.own.titles("lonc") if "DEAD" in title), "ps ")


def _promise(network: Network, screen: Screen) -> list[Path]:
    screen.heading("What must not be lost is kept on disk: critical() of the Python client library")
    library = Library(conf_dir=str(network.own.conf_dir))
    for command in ("put:demo:alice:notes:promised=kept",
                    f"encrypt:passwd:demo:alice:{PASSWORD}:{NEW_PASSWORD}"):  # fmt: skip
        reply = library.critical(command.encode(), "oak1")
        screen.show([f'network.critical(b"{command}", "oak1")  ->  {reply.text}'])
        if reply.line != words.CON_DELAYED:
            raise DemoError(f"critical() said {reply.text}")
    kept = sorted(path for path in network.own.delayed.iterdir() if path.is_file() and path.name[0] != ".")
    for path in kept:
        text = path.read_text("ascii").strip()
        screen.show([f"{path.name}:", f"    {text[:88]}{'...' if len(text) > 88 else ''}"])
    _must(len(kept) == 2, screen, "two files wait for oak1")
    clear = [path for path in kept if PASSWORD in path.read_text("ascii") or NEW_PASSWORD in path.name]
    _must(not clear, screen, "neither shows a password: what begins with `encrypt:` is sealed (AES-256-GCM)")
    return kept


def _mend(network: Network, screen: Screen, kept: list[Path]) -> None:
    screen.heading("The peer comes back, and the delayed messages go out by themselves")
    network.servers["oak1"].start()
    began = time.monotonic()
    network.wait_log("oak1 online")
    screen.done(f"the link is back {time.monotonic() - began:.1f} s after the peer")
    network.wait(lambda: not any(path.exists() for path in kept), 30, "the delayed messages to be delivered")
    screen.done("the files are gone")
    network.wait_log("Delayed ", count=2)
    screen.log(network.new_log("oak1 online", "Delayed "))
    records = (network.own.logs / "lonnet.perm.log").read_text("utf-8").splitlines()
    screen.show(records, "lonnet.perm.log ")
    _must(sum(":S:oak1:" in record for record in records) == 2, screen, "the permanent log has their S records")
    screen.say("oak1 has lost nothing of what it had confirmed, and has carried out what was promised:")
    _exchange(network, screen, [
        ("oak1", "get:demo:alice:notes:promised", "kept"),
        ("oak1", f"encrypt:auth:demo:alice:{PASSWORD}", "non_authorized"),
        ("oak1", f"encrypt:auth:demo:alice:{NEW_PASSWORD}", "authorized"),
    ])  # fmt: skip


def _restart(network: Network, screen: Screen) -> None:
    screen.heading(f"Restart in place (HUP) under the load of {CLIENTS} clients, one request per connection")
    network.new_log()
    own = network.own
    pid, before = own.pid("lonc"), {process.pid for process in own.processes("lonc")}

    async def meanwhile() -> None:
        await asyncio.sleep(0.4)
        os.kill(pid, signal.SIGHUP)
        for _ in range(400):
            await asyncio.sleep(0.05)
            living = {process.pid for process in own.processes("lonc")}
            online = sum(" online" in line for line in own.log_lines("lonc")[lines:])
            if len(living) == len(before) and living & before == {pid} and online >= len(before) - 1:
                break
        await asyncio.sleep(0.4)

    lines = len(own.log_lines("lonc"))
    tally = stream_of_clients([network.socket("oak1"), network.socket("elm1")], CLIENTS, meanwhile)
    after = {process.pid for process in own.processes("lonc")}
    screen.show([str(tally)])
    screen.log(network.new_log("Restarting", "Done starting", " online"))
    _must_be_clean(tally, screen, f"refused {tally.refused}: nobody noticed more than a pause")
    same = own.pid("lonc") == pid and pid in after
    _must(same and not (after & before) - {pid}, screen, f"same parent ({pid}), all children new")


def _stop(network: Network, screen: Screen) -> None:
    screen.heading("The end: TERM to the parents")
    network.new_log()
    running = [server for server in network.servers.values() if server.serves()]  # with --stay one may be killed
    seconds = network.stop("lonc")
    screen.log(network.new_log("Closing", "Shutting down"))
    screen.done(f"every process of lonc is gone after {seconds:.1f} s")
    screen.done(f"and those of lond after another {network.stop('lond'):.1f} s")
    left = [path for server in running for path in server.logs.glob("*.pid")]
    left += [Path(network.socket(peer)) for peer in network.servers if Path(network.socket(peer)).exists()]
    _must(not left, screen, "pid files and sockets are removed")
