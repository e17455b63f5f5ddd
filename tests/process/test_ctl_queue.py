"""loncctl queue beside a daemon that is at work: what it shows, and that no change loses or doubles a message."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from lonc.delayed.sealing import Keys
from lonc.delayed.store import MessageStore
from lonc.system.clock import SystemClock
from lonc.system.files import SystemFiles
from tests.conftest import MakeSite
from tests.process.ctl_run import loncctl
from tests.process.harness import TREE, Site, wait_until
from tests.process.messages import empty, put, texts

SCHEMA = json.loads((TREE / "doc" / "schema" / "queue.json").read_text("utf-8"))
QUICK = {"loncGrace": "0.3", "loncDelayedScan": "0.5"}


def queue(site: Site, *words: str) -> tuple[int, dict[str, Any]]:
    """Run a verb of the queue with --json; return the exit code and the document, which fits its schema."""
    done = loncctl(site, "queue", *words, "--json")
    assert done.errors == ""
    document = json.loads(done.out)
    jsonschema.validate(document, SCHEMA, jsonschema.Draft202012Validator)
    return done.code, document


def ids(site: Site, where: str = "delayed") -> list[str]:
    """Return the ids of the messages in one place."""
    return [str(one["id"]) for one in queue(site, "--where", where)[1]["messages"]]


def seal(site: Site, command: bytes, peer: str) -> None:
    """Keep a message as our client library does, old enough to be sent at once."""
    files, clock = SystemFiles(), SystemClock()
    keys = Keys(str(site.logs_dir / "lonc.keys"), files=files, clock=clock)
    name = MessageStore(str(site.delayed_dir), keys, files=files, clock=clock).put(command, peer)
    parts = name.split(".", 1)
    (site.delayed_dir / name).rename(site.delayed_dir / f"{int(parts[0]) - 60}.{parts[1]}")
    path = site.delayed_dir / f"{int(parts[0]) - 60}.{parts[1]}"
    os.utime(path, (time.time() - 60, time.time() - 60))


def executed(site: Site, peer: str) -> list[str]:
    """Return the commands that a peer has carried out, encrypted ones in clear."""
    return site.peers[peer].executed()


def test_every_message_is_shown_with_why_and_when(make_site: MakeSite) -> None:
    site = make_site(["msul1", "msul2"], settings=QUICK)
    site.peer("msul1")
    site.delay("msul2", b"put:msu:u:ns:Secret71=1")
    site.delay("msul2", b"passwd:msu:user:Secret72:Secret73")
    site.delayed("100.7.1.auth.msul2", b"two\nlines Secret74\n")
    site.start()
    site.wait_ready("msul1")
    code, document = queue(site)
    assert code == 0
    shown = {one["command"]: one for one in document["messages"]}
    assert {"put", "passwd"} <= set(shown)
    assert shown["put"]["peer"] == "msul2"
    assert "refused" in shown["put"]["last_error"].lower() or shown["put"]["last_error"]
    assert shown["put"]["next_try"]
    assert "Secret7" not in json.dumps(document)
    for words in (("queue",), ("queue", "msul2"), ("queue", "shape"), ("queue", "shape", "msul2"),
                  ("queue", "show", shown["passwd"]["id"])):  # fmt: skip
        done = loncctl(site, *words)
        assert (done.code, done.errors) == (0, "")
        assert "Secret7" not in done.out
    assert queue(site, "shape")[1]["shapes"][0]["where"]["delayed"] >= 2
    code, document = queue(site, "show", shown["passwd"]["id"], "--unmask")
    assert document["messages"][0]["text"] == "passwd:msu:user:Secret72:Secret73"
    site.wait_log("read the text of delayed/")
    assert f"user id {os.getuid()}" in site.log_text()
    assert site.grep_secrets("Secret7") == []


def test_mistakes_are_usage(site: Site) -> None:
    site.delay("msul1", put(1))
    site.delay("msul1", put(2))
    for words in (("nobody",), ("show", "77"), ("hold",), ("move", "1"), ("hold", str(int(time.time()) // 10000)),
                  ("drop", ids(site)[0])):  # fmt: skip
        code, document = queue(site, *words)
        assert (code, document["done"]) == (2, False), words
    assert len(site.waiting()) == 2


def test_hold_release_drop_and_move_while_the_peer_is_away_then_each_is_sent_once(make_site: MakeSite) -> None:
    site = make_site(["msul1", "msul2"], settings=QUICK)
    site.peer("msul2")
    for number in range(5):
        site.delay("msul1", put(number))
    seal(site, b"encrypt:passwd:msu:u:Secret81:Secret82", "msul1")
    site.start()
    site.wait_ready("msul2")
    names = ids(site)
    assert len(names) == 6
    assert queue(site, "hold", names[0], names[1], names[2])[0] == 0
    assert queue(site, "drop", names[3], "--yes")[0] == 0
    assert queue(site, "release", names[1])[0] == 0
    assert queue(site, "move", names[2], names[5], "msul2")[0] == 0
    assert queue(site, "release", names[2])[0] == 0  # it was held, so it stayed so
    assert ids(site, "held") == [names[0]]
    assert ids(site, "dropped") == [names[3]]
    wait_until(lambda: len(executed(site, "msul2")) >= 2, 20, "the moved messages")
    site.peer("msul1")
    empty(site)
    wait_until(lambda: len(executed(site, "msul1")) >= 2, 20, "the others")
    assert executed(site, "msul1") == texts(1, 4)
    assert sorted(executed(site, "msul2")) == sorted([*texts(2), "passwd:msu:u:Secret81:Secret82"])
    assert site.log_text().count("Operator (user id") == 8
    assert site.grep_secrets("Secret8") == []
    assert queue(site, "release", f"dropped/{names[3]}")[0] == 0
    wait_until(lambda: executed(site, "msul1") == texts(1, 4, 3), 20, "the dropped one")


def test_a_rejected_message_is_sent_again(make_site: MakeSite) -> None:
    site = make_site(["msul1"], settings=QUICK)
    peer = site.peer("msul1", "on put:*=reply:refused")
    site.delay("msul1", put(1))
    site.start()
    wait_until(lambda: ids(site, "rejected"), 20, "a rejected message")
    (one,) = queue(site, "--where", "rejected")[1]["messages"]
    assert (one["last_error"], one["next_try"]) == ("the peer answered refused", "after `queue retry`")
    peer.script()
    assert queue(site, "release", str(one["id"]))[0] == 1
    code, document = queue(site, "retry", str(one["id"]))
    assert (code, document["called"]) == (0, ["msul1"])
    empty(site)
    wait_until(lambda: not ids(site, "rejected"), 5, "no rejected message")
    assert not list((site.delayed_dir / "rejected").iterdir())


def test_a_message_in_flight_is_left_alone(make_site: MakeSite) -> None:
    site = make_site(["msul1"], settings=QUICK)
    site.peer("msul1", "on put:*=stall")
    site.delay("msul1", put(1))
    site.delay("msul1", put(2))
    site.start()
    lock = site.delayed_dir / ".lock-msul1"
    wait_until(lambda: lock.exists() and b".put" in lock.read_bytes(), 20, "a message on its way")
    first, second = ids(site)
    code, document = queue(site, "hold", first, second)
    assert code == 1
    assert [one["done"] for one in document["changes"]] == [False, True]
    assert "in flight" in document["changes"][0]["text"]
    assert len(site.waiting()) == 1


@pytest.mark.parametrize("killed", [False, True])
def test_hundreds_of_messages_are_held_while_they_are_being_sent(make_site: MakeSite, killed: bool) -> None:
    """Whatever a child sends at that moment, each message is in the end either held or was sent, once."""
    site = make_site(["msul1"], settings=QUICK)
    site.peer("msul1", "on put:*=late:8")
    count = 250
    paths: list[Path] = [site.delay("msul1", put(number)) for number in range(count)]
    wanted = [".".join(path.name.split(".")[:3]) for path in paths[::-4]][:50]
    site.start()
    if killed:  # the sender dies in the middle of it; its successor goes on
        site.peers["msul1"].wait_executed(5, 20)
        site.signal(signal.SIGKILL, site.child("msul1"))
    code, _document = queue(site, "hold", *wanted)
    assert code in (0, 1, 2)  # 1: some, 2: one of the first was gone before it was looked for
    empty(site, 60)
    numbers = {path.name: number for number, path in enumerate(paths)}
    place = site.delayed_dir / "held"
    held = {numbers[path.name] for path in place.iterdir()} if place.exists() else set()
    expected = texts(*(number for number in range(count) if number not in held))
    wait_until(lambda: len(set(executed(site, "msul1"))) >= len(expected), 30, "all others sent")
    sent = executed(site, "msul1")
    assert set(sent) == set(expected)
    assert killed or sent == expected
