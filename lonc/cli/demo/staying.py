"""What `bin/demo --stay` does between the last step and the end: it keeps the network running."""

from __future__ import annotations

import time

from lonc.cli.demo.network import OWN, Network
from lonc.cli.demo.screen import DemoError, Screen
from lonc.cli.demo.server import TREE

PEER_RETURN_S = 10.0  # when a server that somebody killed comes back


def stay(network: Network, screen: Screen) -> None:
    """Print how to talk to the network, and keep it running until Ctrl-C; a killed server comes back."""
    screen.heading("It stays: talk to it from another terminal, Ctrl-C here ends it")
    path, own = network.socket("oak1"), network.own
    one_liner = (
        f"import socket; s = socket.socket(socket.AF_UNIX); s.connect('{path}'); "
        "s.sendall(b'ping\\n'); print(s.recv(99).decode(), end='')"
    )
    library = (
        f"from lonc.lonnet.network import Network; n = Network(conf_dir='{own.conf_dir}'); "
        "print(n.reply(b'get:demo:alice:notes:day', 'oak1').text)"
    )
    screen.show([
        f"printf 'ping\\n' | socat - UNIX-CONNECT:{path}",
        f"printf 'encrypt:put:demo:alice:notes:a=b\\nget:demo:alice:notes:a\\n' | nc -U {path}",
        f'python3 -c "{one_liner}"',
        f'cd {TREE} && .venv/bin/python -c "{library}"',
        f"tail -f {own.logs}/lonc.log {network.servers['oak1'].logs}/lond.log",
        f"kill -USR1 {own.pid('lonc')}; sleep 1; cat {own.html}/lon-status/loncstatus.txt",
        f"kill -HUP {own.pid('lonc')}      # restart in place",
        f"{TREE}/bin/lonc --conf-dir {own.conf_dir} -t",
    ])  # fmt: skip
    pids = ", ".join(f"{peer} {server.pid('lond')}" for peer, server in network.servers.items() if peer != OWN)
    screen.say(f"The peers: {pids} (lond; our own server is {OWN}). One that is killed comes back after "
               f"{PEER_RETURN_S:g} s. doc/commands.md lists the commands.")  # fmt: skip
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
    for peer, server in network.servers.items():
        if peer not in gone and not server.serves():
            if peer == OWN:
                raise DemoError("our own server is no longer running")
            gone[peer] = now + PEER_RETURN_S
            screen.say(f"{peer} is gone; it comes back in {PEER_RETURN_S:g} s")
    for peer in [peer for peer, due in gone.items() if now >= due]:
        del gone[peer]
        server = network.servers[peer]
        server.kill()
        server.start()
        screen.say(f"{peer} is back as process {server.pid('lond')}")
