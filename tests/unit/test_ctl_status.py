"""`status`: sentences first, the others in a table, exit codes, and JSON by its schema."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from lonc.cli.ctl.verbs import Exit
from lonc.system.scoreboard import ChildRecord, ParentRecord
from tests.unit.ctl_ground import Ground

SCHEMA = json.loads((Path(__file__).resolve().parents[2] / "doc" / "schema" / "status.json").read_text("utf-8"))


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path, ["msul1", "msul2"])


def document(ground: Ground, *words: str) -> tuple[int, dict[str, Any]]:
    code, out, errors = ground.run("status", "--json", *words)
    assert errors == ""
    found = json.loads(out)
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    return code, found


def refused() -> ChildRecord:
    now = time.monotonic()
    why = "no_connection: Connection refused"
    return ChildRecord(state="down", why=why, down_since=now - 240, next_try=now + 40.5, address="127.0.9.2")


def test_a_sentence_for_who_is_not_up_and_a_table_of_the_others(ground: Ground) -> None:
    with ground.alive(msul1=refused()):
        code, out, errors = ground.run("status")
    assert (code, errors) == (Exit.DONE, "")
    sentences, _, table = out.partition("\n\n")
    head, sentence = sentences.splitlines()[:2]
    assert head.startswith(f"lonc of own1 runs as process {os.getpid()}, up for 2 h")
    assert sentence.startswith("msul1 down for 4 min: connection refused: nothing listens on 127.0.9.2 port 5663")
    assert "next try in 4" in sentence
    assert "; do: start lond on msul1.example" in sentence
    rows = table.splitlines()
    assert rows[0].split()[:3] == ["peer", "state", "for"]
    assert [row.split()[0] for row in rows[1:3]] == ["own1", "msul2"]
    assert rows[2].split()[1:4] == ["ready", "10", "min"]
    assert "msul1" not in table
    assert "nothing is wrong" not in out


def test_all_well(ground: Ground) -> None:
    with ground.alive():
        code, out, _errors = ground.run("status", "--healthy")
        assert document(ground, "--healthy")[1]["healthy"] is True
    assert code == Exit.DONE
    assert out.endswith("nothing is wrong\n")


def test_one_peer(ground: Ground) -> None:
    with ground.alive(msul1=refused()):
        code, out, _errors = ground.run("status", "msul1")
        assert code == Exit.DONE
        assert "msul1 down for" in out
        assert "\nmsul1 " in out.partition("\n\n")[2]
        assert "msul2" not in out
        assert [peer["id"] for peer in document(ground, "msul2")[1]["peers"]] == ["msul2"]
        code, out, errors = ground.run("status", "nobody")
    assert code == Exit.USAGE
    assert out == ""
    assert "nobody is neither in hosts.tab nor served" in errors


def test_exit_codes(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    assert document(ground)[0] == document(ground, "--healthy")[0] == Exit.NOT_RUNNING
    with ground.alive(msul1=refused()):
        assert document(ground)[0] == Exit.DONE
        assert document(ground, "--healthy")[0] == Exit.USAGE
    assert document(ground)[0] == Exit.FAILED  # the pid file of this test is still there
    monkeypatch.setattr("lonc.cli.ctl.snapshot.foreign_holder", lambda _files, _path: 7)
    assert document(ground)[0] == Exit.UNKNOWN


def test_what_json_says(ground: Ground) -> None:
    ground.message(f"{int(time.time()) - 100}.1.8.put.msul1", b"geheim")
    with ground.alive(msul1=refused()) as board:
        parent = ParentRecord(peer="msul2", state="given up", attempts=5, since=time.time())
        ground.put(board, "msul2", ChildRecord(pid=4194304), parent=parent)
        _code, found = document(ground)
    assert found["healthy"] is False
    assert found["daemon"]["life"] == "running"
    own, one, two = found["peers"]
    assert (own["state"], own["requests"], own["down_s"]) == ("ready", 10, None)
    assert (one["state"], one["why"]) == ("down", "no_connection: Connection refused")
    assert 239 < one["down_s"] < 10_000
    assert one["messages"]["delayed"]["count"] == 1
    assert one["messages"]["delayed"]["oldest_s"] >= 100
    assert one["messages"]["held"] == {"count": 0, "oldest_s": None}
    assert (two["state"], two["pid"], two["attempts"]) == ("given up", None, 5)
    assert {entry["code"] for entry in found["findings"]} == {"refused", "given_up"}


def test_the_state_of_each_kind(ground: Ground) -> None:
    Path(ground.config.wanted_path).write_text("own1\tpaused\n")
    with ground.alive(msul1=ChildRecord(state="down")) as board:
        segment, offset = board._places[board.peers()["msul2"]]
        segment.put_number(offset + 512, 7)
        states = {peer["id"]: peer["state"] for peer in document(ground)[1]["peers"]}
    assert states == {"own1": "paused", "msul1": "idle", "msul2": "?"}
    assert {peer["state"] for peer in document(ground)[1]["peers"]} == {"no daemon"}


def test_it_works_while_another_user_may_not_read(ground: Ground) -> None:
    """What cannot be read is told, and the rest is shown."""
    with ground.alive():
        os.unlink(ground.config.scoreboard_path)
        code, out, _errors = ground.run("status")
    assert code == Exit.DONE
    assert "nothing is known of the peers" in out
    assert "own1   ?" in out
