"""lond with each engine of its store, over the wire and through lonc; kills of PostgreSQL under load (C2, C3)."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator

import pytest

from tests.process import postgres, procs
from tests.process.conftest import MakePair
from tests.process.gdbm_python import MISSING, gdbm_environment, gdbm_python
from tests.process.lond_site import LondSite, Pair
from tests.process.postgres import Postgres
from tests.process.test_lond_restart import Puts
from tests.process.waiting import wait_until

START = "import sys; sys.argv[0] = 'lond'; from lonc.lond.cli import main; sys.exit(main())"
TALK = [
    (b"put:msu:ann:notes:day=Tuesday&b%20c=%0a%ff", b"ok"),
    (b"get:msu:ann:notes:b%20c&none&day", b"%0a%ff&&Tuesday"),
    (b"eget:msu:ann:notes:day", b"Tuesday"),
    (b"inc:msu:ann:notes:count=3", b"ok"),
    (b"newput:msu:ann:notes:day=other", b"error: a key exists already, nothing was stored"),
    (b"dump:msu:ann:notes:.", b"b%20c=%0a%ff&count=3&day=Tuesday"),
    (b"dump:msu:ann:notes:%5eb%20:1", b"b%20c=%0a%ff"),
    (b"del:msu:ann:notes:count&none", b"ok"),
    (b"keys:msu:ann:notes", b"b%20c&day"),
    (b"store:msu:ann:grades:quiz:score=7", b"ok"),
    (b"store:msu:ann:grades:quiz:score=9&tries=2", b"ok"),
    (b"encrypt:rolesput:msu:ann:msu:joe:%2fmsu_au=1", b"ok"),
    (b"idput:msu:4711=ann", b"ok"),
    (b"idget:msu:none&4711", b"&ann"),
    (b"log:msu:ann:has logged in", b"ok"),
    (b"encrypt:auth:msu:ann:first", b"authorized"),
    (b"put:msu:nobody:notes:a=b", None),
]


@pytest.fixture
def database() -> Iterator[Postgres]:
    """Run a server of this test's own, since it is killed."""
    if postgres.find_programs() is None:
        pytest.skip(postgres.MISSING)
    made = Postgres()
    yield made
    made.end()


def pair_with(engine: str, make_pair: MakePair, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """Return a running pair whose lond has this engine; skips where it cannot be had."""
    where = engine
    if engine == "postgres":
        if postgres.find_programs() is None:
            pytest.skip(postgres.MISSING)
        where = postgres.empty(postgres.server())
    pair = make_pair(lond_settings={"londStore": where})
    if engine == "gdbm":
        python = gdbm_python()
        if python is None:
            pytest.skip(MISSING)

        def command(site: LondSite, *arguments: str) -> list[str]:
            return [str(python), "-c", START, "--conf-dir", str(site.conf_dir), *arguments]

        monkeypatch.setattr(LondSite, "command", command)
        pair.lond.start(env=gdbm_environment())
    else:
        pair.lond.start()
    pair.lonc.start()
    pair.lonc.wait_ready(timeout_s=30)
    return pair


@pytest.mark.parametrize("engine", ["sqlite", "gdbm", "postgres"])
def test_every_engine_answers_alike_through_lonc(
    engine: str, make_lonc_and_lond: MakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = pair_with(engine, make_lonc_and_lond, monkeypatch)
    assert pair.ask(b"encrypt:makeuser:msu:ann:internal:first", 60) == b"ok"
    for line, wanted in TALK:
        reply = pair.ask(line, 60)
        assert reply is not None, line
        assert reply == wanted or (wanted is None and reply.startswith(b"error: not_home")), (line, reply)
    reply = pair.ask(b"restore:msu:ann:grades:quiz", 60)
    assert reply is not None
    fields = reply.split(b"&")
    assert [field for field in fields if b":timestamp=" not in field] == [
        b"version=2", b"1:keys=score:timestamp", b"1:score=7",
        b"2:keys=score:tries:timestamp", b"2:score=9", b"2:tries=2",
    ]  # fmt: skip
    pair.lond.stop()
    log = pair.lond.log_text()
    assert "CRITICAL" not in log
    assert "Tuesday" not in log


def test_every_ok_outlives_kills_of_postgresql_and_of_workers(
    database: Postgres, make_lonc_and_lond: MakePair
) -> None:
    pair = make_lonc_and_lond(lond_settings={"londStore": database.url})
    pair.start()
    chance = random.Random(1996)
    with Puts(pair) as puts:
        for turn in range(6):
            _wait_for_ok(puts)
            time.sleep(chance.random() * 0.05)
            if turn % 3 == 0:
                database.kill()
                database.start()
            elif turn % 3 == 1:
                for pid in database.backends():
                    database.kill(pid)
                wait_until(database.serves, 60, "PostgreSQL serves again")
            else:
                for pid in pair.lond.serving():
                    procs.send(pid, signal.SIGKILL)
                pair.lonc.wait_ready(timeout_s=30)
        _wait_for_ok(puts)
    assert puts.errors == []
    strange = [reply for reply in puts.tally if reply not in (b"ok", b"con_lost") and not _is_error(reply)]
    assert strange == []
    assert puts.all_kept() == []
    assert procs.alive(pair.lond.pid())


def _is_error(reply: bytes | None) -> bool:
    return reply is not None and reply.startswith(b"error")


def _wait_for_ok(puts: Puts, count: int = 10) -> None:
    """Return when so many more changes were kept: the store serves again, whatever happened to it."""
    before = puts.tally[b"ok"]
    wait_until(lambda: puts.tally[b"ok"] >= before + count or puts.errors, 90, f"{count} more kept")
