"""The measuring programs: built, checked against each other, and missed with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import kit as programs
from tests.bench.kit import Kit, KitMissing, Stub, build, load


def test_load_and_stub_agree(kit: Kit) -> None:
    with Stub(kit, own_id="msul1") as stub:
        found = load(kit, "-p", str(stub.port), "-i", "msul1", "-c", "4", "-n", "200", "-s", "32", "-H")
        assert found.good, found.errors
        assert found.figures["requests"] == 200
        assert found.figures["mismatches"] == found.figures["con_lost"] == 0


def test_load_says_when_a_reply_is_missing(kit: Kit) -> None:
    with Stub(kit, drop=("-D", "3")) as stub:
        assert not load(kit, "-p", str(stub.port), "-c", "1", "-n", "5", "-T", "1").good


def test_what_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONC_BENCH_KIT", str(tmp_path))
    with pytest.raises(KitMissing, match=r"no lond_stub.c and uxload.c in"):
        build()
    for name in programs.NAMES:
        (tmp_path / f"{name}.c").write_text("this is no C\n")
    monkeypatch.setattr(programs, "BUILT", tmp_path / "built")
    with pytest.raises(KitMissing, match="could not be built"):
        build()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KitMissing, match="no C compiler"):
        build()
