"""The command that gives sealed messages a new key: what it keeps, says, and refuses."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lonc.config import load_config
from lonc.lonnet import rotate_keys
from lonc.lonnet.network import Network
from tests.process.installation import Installation


@pytest.fixture
def place() -> Iterator[Installation]:
    made = Installation(["msul1"])
    yield made
    shutil.rmtree(made.root)


def lines(place: Installation) -> list[str]:
    return Path(load_config(str(place.conf_dir)).keys_path).read_text().splitlines()


def test_each_run_adds_a_key_and_says_which(place: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    for count in (2, 3):  # the first run makes the file, and a new key all the same
        assert rotate_keys.main(["--conf-dir", str(place.conf_dir)]) == 0
        assert len(lines(place)) == count
        assert capsys.readouterr().out == f"new key {lines(place)[-1].split()[0]}; dropped: none\n"


def test_a_key_that_a_message_needs_is_kept_however_old(
    place: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    network = Network(conf_dir=str(place.conf_dir), retry_pause_s=0.0, wake_wait_s=0.0)
    assert network.critical(b"encrypt:a:b", "msul1").line == b"con_delayed"
    keys = Path(network.config.keys_path)
    needed = keys.read_text().split()[0]
    keys.write_text(keys.read_text() + f"old1 {'00' * 32} 1000\nold2 {'11' * 32} 2000\nold3 {'22' * 32} 3000\n")
    assert rotate_keys.main(["--conf-dir", str(place.conf_dir), "--keep-days", "30"]) == 0
    assert "dropped: old1 old2\n" in capsys.readouterr().out
    assert [line.split()[0] for line in lines(place)][:2] == [needed, "old3"]


@pytest.mark.parametrize("what", ["few days", "damaged", "no configuration"])
def test_what_is_refused_is_told_and_changes_nothing(
    place: Installation, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    arguments = ["--conf-dir", str(place.conf_dir)]
    keys = place.logs_dir / "lonc.keys"
    keys.write_text("half a key" if what == "damaged" else f"old1 {'00' * 32} 1000\n")
    keys.chmod(0o600)
    before = keys.read_text()
    if what == "few days":
        arguments += ["--keep-days", "0.01"]
    elif what == "no configuration":
        arguments = ["--conf-dir", str(place.root / "none")]
    assert rotate_keys.main(arguments) == (2 if what == "no configuration" else 1)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err
    assert keys.read_text() == before
