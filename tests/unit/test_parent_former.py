"""What a restart falls back on: the configuration and table of the former self, as plain values (P22)."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest

from lonc.config import Config, Host, load_config
from lonc.config.plain import config_of, settings_of
from lonc.errors import ConfigError
from lonc.parent.former import load_or_keep
from lonc.parent.handover import Notes, write_notes

HOSTS = (("msul1", "msu", "library", "a.example", "127.0.0.1"),)


def write(place: Path, text: str = "", hosts: str = "msul1:msu:library:b.example:127.0.0.2\n") -> Config:
    """Write a whole configuration below place and return it."""
    words = f"PerlSetVar lonHostID own1\nPerlSetVar lonDaemons {place}\nPerlSetVar lonTabDir {place}\n"
    (place / "loncapa_apache.conf").write_text(words + "PerlSetVar loncAllowUsers one,two\n" + text)
    (place / "loncapa.conf").write_text("")
    (place / "hosts.tab").write_text(hosts)
    return load_config(str(place))


def notes_of(config: Config) -> int:
    """Return the descriptor of notes that carry this configuration."""
    settings = json.loads(json.dumps(settings_of(config)))
    return write_notes(Notes(os.getpid(), 3, (4, 5), (), settings, HOSTS))


def test_a_configuration_survives_being_made_plain(tmp_path: Path) -> None:
    config = write(tmp_path)
    assert config_of(json.loads(json.dumps(settings_of(config)))) == config


def test_a_setting_that_the_former_self_did_not_know_has_its_default(tmp_path: Path) -> None:
    settings = settings_of(write(tmp_path))
    del settings["grace_s"], settings["given"]
    settings["of_an_older_release"] = 3
    made = config_of(settings)
    assert made is not None
    assert (made.grace_s, made.given, made.allow_users) == (2.0, 0, ("one", "two"))


@pytest.mark.parametrize(
    "damage",
    [{"port": "5663"}, {"allow_users": "one"}, {"allow_users": [1]}, {"grace_s": None}, {"pong": "on"}],
)
def test_a_value_of_the_wrong_type_is_no_configuration(tmp_path: Path, damage: dict[str, object]) -> None:
    assert config_of(settings_of(write(tmp_path)) | damage) is None


def test_an_id_that_is_missing_is_no_configuration(tmp_path: Path) -> None:
    settings = settings_of(write(tmp_path))
    del settings["host_id"]
    assert config_of(settings) is None


def test_what_stands_on_disk_comes_first(tmp_path: Path) -> None:
    fd = notes_of(write(tmp_path))
    new = write(tmp_path, "PerlSetVar loncGrace 7\n")
    found = load_or_keep(str(tmp_path), fd)
    assert (found.config, found.troubles) == (new, ())
    assert [host.address for host in found.table.hosts] == ["127.0.0.2"]
    os.close(fd)


def test_a_broken_table_is_replaced_by_the_former_one(tmp_path: Path) -> None:
    fd = notes_of(write(tmp_path))
    new = write(tmp_path, "PerlSetVar loncGrace 7\n", hosts="")
    found = load_or_keep(str(tmp_path), fd)
    assert found.config == new
    assert found.table.hosts == (Host(*HOSTS[0]),)
    assert len(found.troubles) == 1
    assert found.troubles[0].startswith("hosts.tab became unusable during the restart")
    os.close(fd)


def test_a_broken_configuration_is_replaced_by_the_former_one(tmp_path: Path) -> None:
    former = write(tmp_path)
    fd = notes_of(former)
    (tmp_path / "loncapa.conf").write_text("PerlSetVar loncGrace soon\n")
    found = load_or_keep(str(tmp_path), fd)
    assert found.config == former
    assert [host.address for host in found.table.hosts] == ["127.0.0.2"]
    assert len(found.troubles) == 1
    assert "loncGrace" in found.troubles[0]
    os.close(fd)


def test_another_place_for_the_lock_needs_an_end_and_a_start(tmp_path: Path) -> None:
    former = write(tmp_path)
    fd = notes_of(dataclasses.replace(former, daemons_dir="/elsewhere"))
    found = load_or_keep(str(tmp_path), fd)
    assert found.config.daemons_dir == "/elsewhere"
    assert found.troubles[0].startswith(f"lonDaemons cannot change from /elsewhere to {tmp_path} by a restart")
    os.close(fd)


def test_without_notes_that_can_be_used_a_broken_configuration_is_an_error(tmp_path: Path) -> None:
    config = write(tmp_path, hosts="")
    with pytest.raises(ConfigError):
        load_or_keep(str(tmp_path), 10_000)
    fd = write_notes(Notes(os.getpid(), 3, (4, 5), ()))
    with pytest.raises(ConfigError):  # no host was carried
        load_or_keep(str(tmp_path), fd)
    os.close(fd)
    fd = notes_of(dataclasses.replace(config))
    (tmp_path / "loncapa_apache.conf").unlink()
    os.close(fd)
    with pytest.raises(ConfigError):
        load_or_keep(str(tmp_path), fd)
