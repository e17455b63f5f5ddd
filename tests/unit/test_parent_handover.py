"""The notes of a restart: the new self reads what the old one wrote, and believes nothing else."""

from __future__ import annotations

import dataclasses
import json
import os

import pytest

from lonc.errors import StartError
from lonc.parent.handover import Notes, PeerNote, peek_notes, read_notes, write_notes
from lonc.system.sealed import is_pipe_end

NOTES = Notes(
    pid=os.getpid(),
    lock_fd=5,
    lifeline=(6, 7),
    peers=(PeerNote("msul1", 99, 8, 1, 2, 12.5), PeerNote("p.q", 0, -1, 0, 0, 0.0)),
    settings={"host_id": "own1", "doc_root": "/a\udcff", "allow_users": ["one", "two"], "pong": True},
    hosts=(("msul1", "msu", "library", "a.example", "127.0.0.1"), ("p.q", "msu", "access", "b.example", "")),
)


def test_the_notes_come_back_and_the_descriptor_is_closed() -> None:
    fd = write_notes(NOTES)
    assert os.get_inheritable(fd)
    assert read_notes(fd) == NOTES
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)


def test_notes_may_be_looked_at_before_they_are_taken() -> None:
    fd = write_notes(NOTES)
    assert peek_notes(fd) == NOTES
    assert read_notes(fd) == NOTES


def test_notes_of_a_release_that_carried_no_configuration_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = json.loads(json.dumps(dataclasses.asdict(NOTES)))
    del raw["settings"], raw["hosts"]
    monkeypatch.setattr("lonc.parent.handover.asdict", lambda _notes: raw | {"of a later one": 1})
    assert read_notes(write_notes(NOTES)) == dataclasses.replace(NOTES, settings={}, hosts=())


def test_more_than_can_be_read_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lonc.system.sealed.SEALED_LIMIT", 100)
    with pytest.raises(OSError, match="too large"):
        write_notes(NOTES)


def test_the_descriptors_are_all_named() -> None:
    assert NOTES.descriptors() == [5, 6, 7, 8]


def test_notes_cannot_be_changed_any_more() -> None:
    fd = write_notes(NOTES)
    with pytest.raises(PermissionError):
        os.pwrite(fd, b"x", 0)
    os.close(fd)


def test_notes_of_another_process_are_refused() -> None:
    fd = write_notes(dataclasses.replace(NOTES, pid=1))
    with pytest.raises(StartError, match="for process 1"):
        read_notes(fd)


def test_a_descriptor_that_is_none_a_file_a_pipe_or_unsealed_is_refused(tmp_path: object) -> None:
    plain = os.open(f"{tmp_path}/notes", os.O_RDWR | os.O_CREAT)
    os.write(plain, json.dumps(dataclasses.asdict(NOTES)).encode())
    unsealed = os.memfd_create("lonc-handover", os.MFD_ALLOW_SEALING)
    reader, writer = os.pipe()
    for fd in (10_000, plain, unsealed, reader):
        with pytest.raises(StartError, match="holds no hand-over"):
            read_notes(fd)
    for fd in (plain, unsealed, reader, writer):
        os.close(fd)


@pytest.mark.parametrize(
    "damage",
    [
        {"pid": "x"}, {"lifeline": 3}, {"lifeline": [1]}, {"peers": {}}, {"peers": [{"id": 3}]}, {"lock_fd": None},
        {"settings": []}, {"settings": None}, {"hosts": 3}, {"hosts": [["a", "b"]]},
        {"hosts": [["a", "b", "c", "d", 5]]},
        {"peers": [{"id": 7, "pid": 1, "fd": 1, "device": 1, "inode": 1, "kill_at": 0}]},
        {"peers": [{"id": "a", "pid": 1, "fd": "1", "device": 1, "inode": 1, "kill_at": 0}]},
    ],
)  # fmt: skip
def test_damaged_notes_are_refused(monkeypatch: pytest.MonkeyPatch, damage: dict[str, object]) -> None:
    raw = json.loads(json.dumps(dataclasses.asdict(NOTES))) | damage
    monkeypatch.setattr("lonc.parent.handover.asdict", lambda _notes: raw)
    fd = write_notes(NOTES)
    with pytest.raises(StartError, match="cannot be read"):
        read_notes(fd)


def test_the_ends_of_a_pipe_are_told_apart() -> None:
    reader, writer = os.pipe()
    assert is_pipe_end(reader, os.O_RDONLY)
    assert is_pipe_end(writer, os.O_WRONLY)
    assert not is_pipe_end(writer, os.O_RDONLY)
    os.close(reader)
    os.close(writer)
    null = os.open(os.devnull, os.O_RDONLY)
    assert not is_pipe_end(null, os.O_RDONLY)
    os.close(null)
    assert not is_pipe_end(reader, os.O_RDONLY)
