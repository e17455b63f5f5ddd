"""A lond that means harm, and ids that mean other places: limits hold, and nobody else pays.

The endless reply, the drip and the line without measure: tests/process/test_limits.py, test_time_limits.py. Here:
lengths in frames that lie, several misdeeds at once under one deadline, and names of the table as names of files.
"""

from __future__ import annotations

from tests.conftest import MakeSite
from tests.process.harness import Entry, Site
from tests.process.memory import resident
from tests.process.waiting import wait_until
from tests.proof.tally import Tally

GROWTH_BYTES = 24 << 20
LENGTHS = (
    b"enc:99999999999999999999999999:0123456789abcdef", b"enc:4294967296:0123456789abcdef",
    b"enc:-1:0123456789abcdef", b"enc:0x10:0123456789abcdef", b"enc: 8:0123456789abcdef",
    b"enc:1e3:0123456789abcdef", b"enc:" + b"9" * 20000 + b":00", "enc:\u0661:0123456789abcdef".encode(),
    b"enc::", b"enc:8", b"enc:8:" + b"0" * 4001,
)  # fmt: skip


def test_lengths_that_lie_cost_their_own_client_con_lost(make_site: MakeSite, tally: Tally) -> None:
    site = make_site(["msul1"])
    rules = [f"on evil{n}:*=reply:{as_argument(frame)}" for n, frame in enumerate(LENGTHS)]
    site.peer("msul1", *rules)
    site.start()
    site.wait_ready()
    child = site.child("msul1")
    before = resident(child)
    with site.connect("msul1") as other:
        for number in range(len(LENGTHS)):
            assert site.ask("msul1", b"evil%d:x" % number, 20) == b"con_lost", LENGTHS[number][:40]
            assert other.ask(b"echo:%d" % number, 20) == b"%d" % number
    assert site.child("msul1") == child
    assert resident(child) - before < GROWTH_BYTES
    tally.add(inputs=len(LENGTHS), faults=len(LENGTHS))


def as_argument(frame: bytes) -> str:
    """Return bytes as a rule of a test peer has them."""
    return "".join(chr(byte) if 32 < byte < 127 and byte != 92 else f"\\x{byte:02x}" for byte in frame)


def test_one_deadline_for_a_request_however_the_peer_plays_for_time(make_site: MakeSite, tally: Tally) -> None:
    """Bytes that come one by one, each in time: the limit is the request's, not the byte's."""
    site = make_site(["msul1", "msul2"], settings={"loncRequestTimeout": "1", "loncGrace": "5"})
    site.peer("msul1", "on slow*=drip:100", "at ready=say:x@2")
    site.peer("msul2")
    site.start()
    site.wait_ready()
    with site.connect("msul1") as client:
        client.send(b"slow:" + b"x" * 400)  # some 40 s at that pace
        assert client.line(20) == b"con_lost"
    assert site.ask("msul2", b"echo:y") == b"y"
    wait_until(lambda: site.ask("msul1", b"ping", 20) == b"msul1", 30, "the next link")
    tally.add(inputs=1, faults=2)


IDS = (
    "..", ".", "../x", "/etc/passwd", "a/b", ".hidden", "-rf", "delayed", "a" * 65, "a" * 255, "a b", "a\tb",
    "a\rb", "a\x00b", "\u00e4", "a\x1b", "*", "~root", "a;b", "$(id)", "",
)  # fmt: skip


def test_ids_that_are_no_file_names_cost_only_themselves(make_site: MakeSite, tally: Tally) -> None:
    longest = "n" * 60
    site = make_site(["msul1", Entry(longest), Entry("a.b-c_d")])
    with site.hosts_path.open("ab") as table:
        for name in IDS:
            table.write(name.encode() + b":msu:library:x.example:127.0.0.99\n")
        table.write(b"a\nb:msu:library:x.example:127.0.0.99\n")
    site.peer("msul1")
    site.start()
    site.wait_ready("msul1")
    sockets = {path.name for path in site.sock_dir.iterdir()}
    assert sockets == {"msul1", longest, "a.b-c_d", "b", "delayed"}, "b: what followed the line end is a line"
    ours = (site.root, site.sock_dir)  # in the first: that of the test peer
    outside = [path for path in site.root.rglob("*") if path.is_socket() and path.parent not in ours]
    assert outside == [], "no socket anywhere else"
    assert site.log_text().count("malformed line passed over") == len(IDS) + 1
    assert site.ask("msul1", b"echo:x") == b"x"
    tally.add(inputs=len(IDS) + 1)


def test_a_file_of_delayed_messages_named_for_another_place_is_never_sent_there(make_site: MakeSite) -> None:
    site = make_site(["msul1"], settings={"loncDelayedScan": "0.2"})
    peer = site.peer("msul1")
    site.start()
    site.wait_ready()
    for name in ("1.2.3.put...", "1.2.3.put.-msul1", "1.2.3.put.msul1 ", "1.2.3.put.msul1\n", "-1.2.3.put.msul1"):
        site.delayed(name, b"put:evil\n")
    site.delay("msul1", b"put:good")
    assert peer.wait_executed(1, 30)
    wait_until(lambda: "put:good" in peer.executed(), 30, "the good one")
    assert present(site) == {"delayed", "msul1"}


def present(site: Site) -> set[str]:
    """Return what lies in the directory of sockets."""
    return {path.name for path in site.sock_dir.iterdir()}
