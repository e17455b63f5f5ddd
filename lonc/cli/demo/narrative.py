"""What the demonstration shows, in order, and what must be true at each step.

Each step does something to the network, shows the lines that tell of it, and checks the promise behind it;
`_must` ends the story with a DemoError when it does not hold.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from lonc.cli.demo.clients import Tally, ask, crowd, stream_of_clients
from lonc.cli.demo.network import OWN, TREE, DemoError, Network
from lonc.cli.demo.screen import Screen
from lonc.wire import words

CLIENTS = 64
REQUESTS_EACH = 100
GRACE_S = 2.0  # loncGrace, at its default in etc/demo
PEER_RETURN_S = 10.0  # with --stay: when a peer that somebody killed comes back
Stay = Callable[[Network, Screen], None]


def tell(network: Network, screen: Screen, stay: Stay | None = None) -> None:
    """Tell the whole story; stay: what happens between the last step and the end. Raises DemoError."""
    began = time.monotonic()
    _make(network, screen)
    _start(network, screen)
    _talk(network, screen)
    _talk_at_once(network, screen)
    kept = _cut(network, screen)
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


def _make(network: Network, screen: Screen) -> None:
    screen.heading("A network of three servers on this machine")
    network.write_files()
    screen.say(f"Our own server and two peers, in {network.root}; their port is {network.port}; hosts.tab:")
    table = (network.root / "tabs" / "hosts.tab").read_text("utf-8").splitlines()
    screen.show(line for line in table if not line.startswith("#"))
    for peer in network.addresses:
        network.start_peer(peer)
    screen.say("Each runs a small real peer: lond's side of the link, with a store in memory. Now lonc checks its "
               "configuration: bin/lonc -t")  # fmt: skip
    screen.show(network.lonc("-t"))


def _start(network: Network, screen: Screen) -> None:
    screen.heading("lonc starts as the watchdog starts it: in the background, with a pid file")
    network.lonc()
    screen.done(f"the starting command is back, and {network.logs / 'lonc.pid'} holds {network.pid()}")
    network.wait_log(" online", count=len(network.addresses))
    new = network.new_log()
    screen.say("A whole line of the log, and then, shortened from here on, how a link came up (the demo's "
               "peers have no lonc of their own to ask back through, hence `con_lost` after `pong`):")  # fmt: skip
    screen.show(new[-1:])
    screen.log(line for line in new if "[oak1]" in line or "PARENT" in line)
    screen.say("One parent, and one child with one link for each server (ps -o pid,comm,args):")
    screen.show(network.titles())


def _talk(network: Network, screen: Screen) -> None:
    screen.heading("Requests through the UNIX sockets: one line out, one line in")
    oak, elm = network.socket("oak1"), network.socket("elm1")
    value = f"Tuesday%20{os.getpid()}"
    exchanges = [
        (oak, "ping", "oak1"),
        (elm, "ping", "elm1"),
        (oak, "echo:any%20bytes%20pass", "any%20bytes%20pass"),
        (oak, f"put:demo:alice:notes:day={value}", "ok"),
        (oak, "get:demo:alice:notes:day", value),
        (oak, "encrypt:put:demo:alice:notes:secret=opensesame", "ok"),
        (oak, "encrypt:eget:demo:alice:notes:secret", "opensesame"),
    ]
    for path, command, expected in exchanges:
        reply, seconds = ask(path, command.encode())
        screen.show([f"{Path(path).name}  {command}  ->  {reply.decode('latin-1')}  ({seconds * 1000:.1f} ms)"])
        if reply != expected.encode():
            raise DemoError(f"{command} was answered {reply!r}, not {expected!r}")
    screen.done("every reply is the right one")
    screen.say("What `encrypt:` made of it, as the peer saw it on the wire (IDEA, a new key for every link); "
               "the reply to `eget` came back in the same form:")  # fmt: skip
    screen.show((line for line in network.peer_log("oak1") if "enc:" in line or "encrypted" in line), "oak1 ")


def _talk_at_once(network: Network, screen: Screen) -> None:
    screen.heading(f"{CLIENTS} clients at once")
    tally = crowd([network.socket("oak1"), network.socket("elm1")], CLIENTS, REQUESTS_EACH)
    screen.show([str(tally)])
    _must_be_clean(tally, screen, "every client got its own replies, in its own order, over one link per peer")


def _must_be_clean(tally: Tally, screen: Screen, text: str) -> None:
    if not tally.clean:
        raise DemoError(f"{tally}; first trouble: {tally.first_trouble or 'none'}")
    screen.done(text)


def _cut(network: Network, screen: Screen) -> Path:
    screen.heading("A peer is cut off")
    network.new_log()
    pid = network.kill_peer("oak1")
    screen.say(f"oak1 (process {pid}) has been killed. For 2 seconds (loncGrace) lonc keeps requests, since most "
               "outages are a restart; then the answer is con_lost:")  # fmt: skip
    path, command = network.socket("oak1"), "get:demo:alice:notes:day"
    took = []
    for text in ("the first request waits for the grace", "the next is answered at once"):
        reply, seconds = ask(path, command.encode())
        took.append(seconds)
        screen.show([f"oak1  {command}  ->  {reply.decode()}  ({seconds * 1000:.0f} ms: {text})"])
        if reply != words.CON_LOST:
            raise DemoError(f"a request to a dead peer was answered {reply!r}")
    if took[0] > GRACE_S + 3.0 or took[1] > 1.5:
        raise DemoError(f"con_lost took {took[0]:.1f} s and {took[1]:.1f} s")
    reply, _ = ask(network.socket("elm1"), b"ping")
    _must(reply == b"elm1", screen, "the other peer is served as before")
    screen.log(network.new_log("lost:", "Couldn't connect"))
    screen.show((title for title in network.titles() if "DEAD" in title), "ps ")
    screen.say("lonnet's critical() now keeps the message on disk, named <time>.<counter>.<pid>.<word>.<peer>. "
               "Its time is a minute ago here: lonc leaves alone what is younger than 5 seconds, since it may "
               "still be written.")  # fmt: skip
    kept = keep_message(network, "oak1", "put:demo:alice:notes:promised=kept")
    screen.show([f"{kept.relative_to(network.root)}:  {kept.read_text().strip()}"])
    return kept


def keep_message(network: Network, peer: str, command: str, age_s: float = 60.0) -> Path:
    """Put a message into the delayed directory as lonnet does, and its D record; return the file."""
    when = time.time() - age_s
    word = "".join(char for char in command if char.isalnum() or char == "_")[:16]
    path = network.delayed / f"{int(when)}.1.{os.getpid()}.{word}.{peer}"
    with open(path, "x", encoding="ascii", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(command + "\n")
    os.utime(path, (when, when))
    with open(network.logs / "lonnet.perm.log", "a", encoding="ascii") as records:
        records.write(f"{int(when)}:D:{peer}:{command}:{time.ctime(when)}\n")
    return path


def _mend(network: Network, screen: Screen, kept: Path) -> None:
    screen.heading("The peer comes back, and the delayed message goes out by itself")
    network.start_peer("oak1")
    began = time.monotonic()
    network.wait_log("oak1 online")
    screen.done(f"the link is back {time.monotonic() - began:.1f} s after the peer")
    network.wait(lambda: not kept.exists(), 10, "the delayed message to be delivered")
    screen.done("the file is gone")
    network.wait_log("Delayed ")
    screen.log(network.new_log("oak1 online", "Delayed "))
    records = (network.logs / "lonnet.perm.log").read_text("utf-8").splitlines()
    screen.show(records, "lonnet.perm.log ")
    _must(any(":S:oak1:" in record for record in records), screen, "the permanent log has its S record")
    reply, _ = ask(network.socket("oak1"), b"get:demo:alice:notes:promised")
    _must(reply == b"kept", screen, "the peer has it: get:demo:alice:notes:promised -> kept")


def _restart(network: Network, screen: Screen) -> None:
    screen.heading(f"Restart in place (HUP) under the load of {CLIENTS} clients, one request per connection")
    network.new_log()
    pid, before = network.pid(), {process.pid for process in network.processes()}

    async def meanwhile() -> None:
        await asyncio.sleep(0.4)
        os.kill(pid, signal.SIGHUP)
        for _ in range(400):
            await asyncio.sleep(0.05)
            living = {process.pid for process in network.processes()}
            online = sum(" online" in line for line in network.log_lines()[lines:])
            if len(living) == len(before) and living & before == {pid} and online >= len(before) - 1:
                break
        await asyncio.sleep(0.4)

    lines = len(network.log_lines())
    tally = stream_of_clients([network.socket("oak1"), network.socket("elm1")], CLIENTS, meanwhile)
    after = {process.pid for process in network.processes()}
    screen.show([str(tally)])
    screen.log(network.new_log("Restarting", "Done starting", " online"))
    _must_be_clean(tally, screen, f"refused {tally.refused}: nobody noticed more than a pause")
    same = network.pid() == pid and pid in after
    _must(same and not (after & before) - {pid}, screen, f"same parent ({pid}), all children new")


def _stop(network: Network, screen: Screen) -> None:
    screen.heading("The end: TERM to the parent")
    network.new_log()
    seconds = network.stop()
    screen.log(network.new_log("Closing", "Shutting down"))
    screen.done(f"every process is gone after {seconds:.1f} s")
    _must(not (network.logs / "lonc.pid").exists(), screen, "the pid file is removed")
    left = [peer for peer in network.addresses if Path(network.socket(peer)).exists()]
    _must(not left, screen, "the sockets are removed")


def stay(network: Network, screen: Screen) -> None:
    """Print how to talk to the network, and keep it running until Ctrl-C; a killed peer comes back."""
    screen.heading("It stays: talk to it from another terminal, Ctrl-C here ends it")
    path, root = network.socket("oak1"), network.root
    one_liner = (
        f"import socket; s = socket.socket(socket.AF_UNIX); s.connect('{path}'); "
        "s.sendall(b'ping\\n'); print(s.recv(99).decode(), end='')"
    )
    pids = ", ".join(f"{peer} {network.peer_pid(peer)}" for peer in network.addresses)
    screen.show([
        f"printf 'ping\\n' | socat - UNIX-CONNECT:{path}",
        f"printf 'encrypt:put:demo:alice:notes:a=b\\nget:demo:alice:notes:a\\n' | nc -U {path}",
        f'python3 -c "{one_liner}"',
        f"tail -f {network.logs}/lonc.log",
        f"kill -USR1 {network.pid()}; sleep 1; cat {root}/html/lon-status/loncstatus.txt",
        f"kill -HUP {network.pid()}      # restart in place",
        f"{TREE}/bin/lonc --conf-dir {network.conf_dir} -t",
    ])  # fmt: skip
    screen.say(f"The peers: {pids} (our own server is {OWN}). One that is killed comes back after "
               f"{PEER_RETURN_S:g} s. The commands: ping, echo:, put:, get:, eget:, log:, load.")  # fmt: skip
    gone: dict[str, float] = {}
    try:
        while True:
            time.sleep(0.5)
            _bring_back(network, screen, gone)
    except KeyboardInterrupt:
        screen.say("")


def _bring_back(network: Network, screen: Screen, gone: dict[str, float]) -> None:
    """Start each peer again that has been away for long enough."""
    now = time.monotonic()
    for peer in network.dead_peers():
        gone[peer] = now + PEER_RETURN_S
        screen.say(f"{peer} is gone; it comes back in {PEER_RETURN_S:g} s")
    for peer in [peer for peer, due in gone.items() if now >= due]:
        del gone[peer]
        screen.say(f"{peer} is back as process {network.start_peer(peer)}")
    if not network.processes():
        raise DemoError("lonc is no longer running")
