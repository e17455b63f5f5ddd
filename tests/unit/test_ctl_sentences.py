"""Every sentence of `status`: the fault as it stands on the scoreboard or on the disk, and what is said of it."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lonc.cli.ctl import causes, sentences
from lonc.cli.ctl.finding import Finding, Weight, counted, span
from lonc.cli.ctl.sentences import findings, headline
from lonc.cli.ctl.snapshot import Daemon, Life, Snapshot, take
from lonc.cli.ctl.ways import Descriptors, Room
from lonc.system.scoreboard import ChildRecord, HeaderRecord, ParentRecord
from tests.unit.ctl_ground import Ground


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


def seen(ground: Ground, child: ChildRecord | None = None, parent: ParentRecord | None = None) -> list[Finding]:
    """Return the findings about msul1 while the daemon runs."""
    with ground.alive() as board:
        if child is not None:
            ground.put(board, "msul1", child, parent=parent)
        return [one for one in findings(take(ground.config)) if one.peer == "msul1"]


def down(why: str, **more: object) -> ChildRecord:
    """Return what a child says that dials in vain."""
    record = ChildRecord(state="down", step="Disconnected", why=why, down_since=time.monotonic() - 240)
    record.address = "127.0.9.2"
    for name, value in more.items():
        setattr(record, name, value)
    return record


def running(now: Snapshot, **facts: object) -> Snapshot:
    """Return a snapshot with other facts about its daemon."""
    return replace(now, daemon=replace(now.daemon, **facts))  # type: ignore[arg-type]  # by name, checked by dataclass


# --- links --------------------------------------------------------------------------------------------------

CASES = [
    ("no_connection: Connection refused", "refused", "nothing listens on 127.0.9.2 port 5663", "start lond on"),
    ("timeout: no connection within 5 s", "unreachable", "no connection to 127.0.9.2", "nc -vz 127.0.9.2 5663"),
    ("no_connection: No route to host", "unreachable", "No route to host", "firewall"),
    ("unresolved: msul1.example does not resolve: [Errno -2] Name or service not known", "unresolved",
     "msul1.example does not resolve", "getent hosts msul1.example"),
    ("unresolved: msul1.example does not resolve: no answer within 5 s", "name_server", "name server",
     "resolv.conf"),
    ("no_connection: Too many open files", "descriptors", "too many open files", "LimitNOFILE"),
    ("no_connection: Cannot assign requested address", "source_address", "loncSourceAddress", "restart"),
    ("refused: Init reply: >refused<", "not_known", "does not know our address", "line for own1"),
    ("refused: Init reply: >nonsense<", "dialogue", "challenge", "lond.log"),
    ("timeout: Timed out during init (HostSet)", "stalls", "(HostSet)", "hangs or is overloaded"),
    ("key: no build key, 12 bytes instead", "key", "12 bytes instead", "lond.log"),
    ("out_of_step: the peer spoke unasked (Initialized)", "no_lond", "does not speak as lond", "is it a lond"),
    ("timeout: a request was not answered in time", "stalls", "not answered in time", "hangs"),
    ("eof: connection closed by the peer (Initialized)", "closed", "closed by the peer", "lond.log"),
    ("whatever: something that is new", "other", "something that is new", "explain"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "code", "text", "remedy"), CASES, ids=[case[0][:40] for case in CASES])
def test_a_dial_that_fails(ground: Ground, why: str, code: str, text: str, remedy: str) -> None:
    ground.message(f"{int(time.time()) - 10800}.1.8.put.msul1", b"x")
    ground.message(f"{int(time.time()) - 60}.2.8.put.msul1", b"x")
    (found,) = seen(ground, down(why, next_try=time.monotonic() + 40.5))
    assert found.code == code
    assert found.weight is Weight.TROUBLE
    assert found.text.startswith("msul1 down for 4 min: ")
    assert text in found.text
    assert "; 2 messages wait, oldest 3 h; next try in 4" in found.text
    assert remedy in found.remedy
    assert "{" not in found.sentence()


def test_every_row_of_causes_is_in_a_case() -> None:
    assert {cause.code for _pattern, cause in causes._ROWS} <= {case[1] for case in CASES}


def test_a_name_with_braces_cannot_break_a_sentence(ground: Ground) -> None:
    (found,) = seen(ground, down("unresolved: {own}{0} does not resolve: x"))
    assert "{0} does not resolve" in found.text


def test_a_first_dial_that_hangs(ground: Ground) -> None:
    (found,) = seen(ground, down("", state="greeting", step="ChallengeReplied"))
    assert (found.code, found.weight) == ("stalls", Weight.TROUBLE)
    (found,) = seen(ground, down("", state="connecting", step="Resolving"))
    assert (found.code, found.weight) == ("connecting", Weight.NOTICE)
    assert "(Resolving)" in found.text


def test_a_link_that_nobody_wants_is_no_fault(ground: Ground) -> None:
    assert seen(ground, down("", down_since=0.0)) == []


def test_a_request_that_is_not_answered(ground: Ground) -> None:
    child = ground.ready("msul1")
    child.in_flight, child.queued, child.waiting_since = 3, 2, max(0.001, time.monotonic() - 100)
    found = seen(ground, child)
    assert [one.code for one in found] == ["stalls"]
    assert "3 in flight, 2 queued" in found[0].text
    assert "loncctl reconnect msul1" in found[0].remedy


def test_warnings_while_the_link_is_up(ground: Ground) -> None:
    child = ground.ready("msul1")
    child.warned = time.time() - 5
    for text, code in (
        ("An enc: reply could not be decoded", "key"),
        ("Cannot accept clients for the moment: Too many open files", "descriptors"),
        ("Refused a client: process 7 of user id 8 may not use this socket", "warned"),
    ):
        child.warning = text
        assert [one.code for one in seen(ground, child)] == [code], text
    child.warning = "Couldn't connect to msul1 (3 secs): Connection refused"
    assert seen(ground, child) == []  # that is over: the link is up
    child.warning, child.warned = "An enc: reply could not be decoded", time.time() - 10_000
    assert seen(ground, child) == []
    child.warned = child.since - 1
    assert seen(ground, child) == []  # of the link before


def test_an_address_that_has_changed_in_the_table(ground: Ground) -> None:
    child = ground.ready("msul1")
    child.address = "127.0.9.77"
    (found,) = seen(ground, child)
    assert found.code == "address_changed"
    assert "127.0.9.77" in found.text
    assert found.remedy == "`loncctl rehash`"


def test_as_many_clients_as_there_may_be(ground: Ground) -> None:
    child = ground.ready("msul1")
    child.clients = 4096
    with ground.alive(msul1=child):
        now = take(ground.config)
    for limit, code in ((100_000, "clients"), (4096 + 20, "descriptors")):
        changed = running(now, descriptors=Descriptors(10, limit))
        assert code in [one.code for one in findings(changed) if one.peer == "msul1"]


# --- without a child ----------------------------------------------------------------------------------------


def parent(state: str, **more: object) -> ParentRecord:
    record = ParentRecord(peer="msul1", state=state, since=time.time() - 300, attempts=5)
    for name, value in more.items():
        setattr(record, name, value)
    return record


def test_given_up(ground: Ground) -> None:
    last = down("no_connection: Connection refused", pid=4194304)
    (found,) = seen(ground, last, parent("given up"))
    assert found.code == "refused"
    assert found.text.startswith("msul1 given up 5 min ago after 5 attempts: connection refused")
    assert found.remedy.endswith("then `loncctl retry`")
    (found,) = seen(ground, ChildRecord(pid=4194304), parent("given up", why="was killed by signal 9"))
    assert found.code == "given_up"
    assert "its child was killed by signal 9" in found.text


def test_given_up_for_what_lies_at_its_socket(ground: Ground) -> None:
    Path(ground.config.socket_path("msul1")).write_text("no socket")
    (found,) = seen(ground, ChildRecord(pid=4194304), parent("given up", attempts=0))
    assert found.code == "socket"
    assert found.remedy == f"remove {ground.config.socket_path('msul1')}, then `loncctl retry`"


def test_backoff(ground: Ground) -> None:
    ended = ChildRecord(pid=4194304)
    record = parent("backoff", why="was killed by signal 11", next_start=time.monotonic() + 30.5)
    (found,) = seen(ground, ended, record)
    assert found.code == "child_died"
    assert "(attempt 5 of 5): its child was killed by signal 11" in found.text
    assert "next start in 3" in found.text
    (found,) = seen(ground, down("timeout: no connection within 5 s", pid=4194304), record)
    assert found.code == "unreachable"


@pytest.mark.parametrize("state", ["on demand", "starting", "stopping"])
def test_states_that_are_no_fault(ground: Ground, state: str) -> None:
    assert seen(ground, ChildRecord(pid=4194304), parent(state)) == []


def test_paused(ground: Ground) -> None:
    Path(ground.config.wanted_path).write_text("msul1\tpaused\n")
    (found,) = seen(ground, down("paused: paused by the operator"))
    assert (found.code, found.weight) == ("paused", Weight.NOTICE)
    assert "loncctl resume msul1" in found.remedy


def test_a_table_that_the_daemon_has_not_read(ground: Ground) -> None:
    with ground.alive():
        hosts = Path(ground.config.hosts_path)
        hosts.write_text(hosts.read_text().replace("msul1:", "msul7:"))
        found = {one.peer: one for one in findings(take(ground.config)) if one.peer}
    assert found["msul7"].code == "not_served"
    assert found["msul7"].remedy == "`loncctl rehash`"


# --- messages -----------------------------------------------------------------------------------------------


def test_messages_that_were_put_aside(ground: Ground) -> None:
    ground.message(f"{int(time.time()) - 7300}.1.8.put.msul1", b"geheim", "rejected")
    ground.message(f"{int(time.time()) - 7300}.1.8.put.msul1.reply", b"geheim", "rejected")
    ground.message("odd.msul1", b"geheim", "corrupt")
    rejected, corrupt = seen(ground)
    assert rejected.text.startswith("msul1 has refused 1 message, oldest 2 h: ")
    assert corrupt.text.startswith("1 file for msul1, oldest ")
    assert "geheim" not in rejected.sentence() + corrupt.sentence()


def test_messages_that_wait_though_the_link_is_up(ground: Ground) -> None:
    ground.message(f"{int(time.time()) - 700}.1.8.put.msul1", b"x")
    (found,) = seen(ground)
    assert (found.code, found.weight) == ("late", Weight.NOTICE)
    assert found.text == "msul1 is up, and 1 message waits, oldest 11 min"


# --- the daemon ---------------------------------------------------------------------------------------------


def codes(now: Snapshot) -> list[str]:
    return [one.code for one in findings(now) if not one.peer]


def test_how_it_lives(ground: Ground) -> None:
    now = take(ground.config)
    assert codes(now) == ["not_running"]
    for life, code in ((Life.DEAD, "dead"), (Life.UNKNOWN, "unknown")):
        assert codes(replace(now, daemon=Daemon(life, "why", 0, 7, None, "no board", None))) == [code]
        assert life.value in headline(replace(now, daemon=Daemon(life, "why", 0, 7, None, "", None)))


def test_the_headline(ground: Ground) -> None:
    began = time.time() - 7300
    header = HeaderRecord(started=began, restarts=2, restarted=time.time() - 65, state="stopping")
    with ground.alive(header=header):
        text = headline(take(ground.config))
    assert text.startswith(f"lonc of own1 runs as process {os.getpid()}, up for 2 h (since ")
    assert text.endswith("), restarted 2 times, 65 s ago, stopping")


def test_what_hinders_the_daemon(ground: Ground) -> None:
    with ground.alive():
        now = take(ground.config)
    now = replace(now, room=(Room("/", 1 << 40, 1 << 41, 1 << 20),))
    assert codes(now) == []
    header = HeaderRecord(log_trouble="log cannot be written: /x/lonc.log: Permission denied")
    assert codes(running(now, header=header)) == ["log"]
    header = HeaderRecord(log_trouble="log cannot be written: No space left on device")
    assert codes(running(now, header=header)) == ["disk_full"]
    for room in (Room("/d", 0, 1 << 30, 5), Room("/d", 1 << 20, 1 << 40, 5), Room("/d", 1 << 39, 1 << 40, 0)):
        assert codes(replace(now, room=(room,))) == ["disk_full"]
    assert codes(replace(now, room=(Room("/d", 1 << 39, 1 << 40, -1),))) == []
    assert codes(running(now, descriptors=Descriptors(90, 100))) == ["descriptors"]
    assert codes(running(now, board_why="in memory")) == ["board"]
    assert codes(replace(now, delayed_why="x cannot be listed")) == ["delayed_directory"]
    assert codes(replace(now, table=None, table_why="no usable host")) == ["table"]


def test_the_last_warning_of_the_parent(ground: Ground) -> None:
    with ground.alive():
        now = take(ground.config)
    text = "No child can be forked: Resource temporarily unavailable; tried again every second"
    said = running(now, header=HeaderRecord(warning=text, warned=now.at_wall - 30))
    (found,) = [one for one in findings(said) if one.code == "parent"]
    assert found.text == f"the parent said 30 s ago: {text}"
    assert "raise the limit of processes" in found.remedy
    for header in (
        HeaderRecord(warning=text, warned=now.at_wall - 10_000),
        HeaderRecord(warning="Skipped msul1", warned=now.at_wall),
    ):
        assert "parent" not in codes(running(now, header=header))


def test_lines_of_the_table(ground: Ground) -> None:
    with Path(ground.config.hosts_path).open("a") as hosts:
        hosts.write("msul1:msu:library:msul1.example:127.0.9.9\nown1:msu:library:own1.example:127.0.9.1\nbad\n")
        hosts.write("msul3:a:library:name.example:http\nmsul3:a:library:name.example:[::1]\n")
    found = {(one.peer, one.code): one for one in findings(take(ground.config))}
    two = found["msul1", "two_addresses"]
    assert "127.0.9.2 in line 2 and 127.0.9.9 in line 3" in two.text
    assert "twice" in found["own1", "twice"].text
    assert "name.example in line 6 and [::1] in line 7" in found["msul3", "two_addresses"].text
    assert "malformed line passed over" in found["", "table_line"].text
    assert sentences._address([], 3) == "?"


def test_the_most_serious_comes_first(ground: Ground) -> None:
    ground.message("odd.msul1", b"x", "corrupt")
    ground.message("1.1.1.x.nobody", b"x")
    weights = [one.weight.value for one in findings(take(ground.config))]
    assert weights == sorted(weights)
    assert len(set(weights)) == 3


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (0, "0 s"), (119.9, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (172800, "2 d")],
)
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_counts() -> None:
    assert [counted(n, "file", "files") for n in (0, 1, 2)] == ["0 files", "1 file", "2 files"]
