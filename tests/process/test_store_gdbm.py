"""GDBM engine: the original's files, shared with the original's own library, and what may be wrong with them."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

from lonc.lond.store import StoreError, gdbm
from tests.process.gdbm_python import perl_gdbm
from tests.process.store_engines import python_for, run
from tests.process.waiting import TREE

CASES_FILE = TREE / "tests" / "process" / "store_gdbm_cases.py"  # cannot be imported where there is no GDBM
CASES = [
    node.name
    for node in ast.parse(CASES_FILE.read_text("utf-8")).body
    if isinstance(node, ast.FunctionDef) and node.decorator_list
]
PERL_READS = r"""
use GDBM_File;
tie(my %h, 'GDBM_File', $ARGV[0], &GDBM_READER, 0640) or die "tie: $!";
print map { unpack('H*', $_) . '=' . unpack('H*', $h{$_}) . "\n" } sort keys %h;
"""
PERL_WRITES = r"""
use GDBM_File;
tie(my %h, 'GDBM_File', $ARGV[0], &GDBM_WRCREAT, 0640) or die "tie: $!";
$h{"perl$_"} = "x" x $_ for 1 .. 200;
$h{"odd\0\xff"} = "\0\xfe";
delete $h{'gone'};
untie %h;
"""


@pytest.mark.parametrize("name", CASES)
def test_case(name: str, tmp_path: Path) -> None:
    assert run("gdbm", "tests.process.store_gdbm_cases", str(tmp_path), name) == ""


def test_there_are_cases() -> None:
    assert len(CASES) > 5


def perl(program: str, path: Path) -> str:
    """Return what a Perl program says with the file as its argument; skips without GDBM_File."""
    interpreter = perl_gdbm()
    if interpreter is None:
        pytest.skip("no perl with GDBM_File (Debian: apt-get install perl)")
    done = subprocess.run(
        [interpreter, "-e", program, str(path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_files_go_to_the_originals_library_and_back(tmp_path: Path) -> None:
    python_for("gdbm")
    path = tmp_path / "lonUsers/msu/a/n/n/ann/ns.db"
    path.parent.mkdir(parents=True)
    perl(PERL_WRITES, path)
    code = (
        "import sys; from lonc.lond.store.gdbm import GdbmStore; from lonc.lond.store import Owner\n"
        "store = GdbmStore(sys.argv[1])\n"
        "with store.writing(Owner(b'msu', b'ann'), b'ns', b'P:1:x') as space:\n"
        "    found = dict(space.items())\n"
        "    assert found.pop(b'odd\\0\\xff') == b'\\0\\xfe', found\n"
        "    assert found == {b'perl%d' % n: b'x' * n for n in range(1, 201)}, found\n"
        "    space.put(b'ours\\0', b'\\xff\\0'); space.put(b'gone', b'1'); space.delete(b'perl7')\n"
    )
    python, environment = python_for("gdbm")
    subprocess.run([python, "-c", code, str(tmp_path / "lonUsers")], env=environment, check=True, timeout=60)
    pairs = dict(line.split("=") for line in perl(PERL_READS, path).split())
    assert pairs[b"ours\0".hex()] == b"\xff\0".hex()
    assert len(pairs) == 202
    assert b"perl7".hex() not in pairs
    perl(PERL_WRITES, path)
    assert b"gone".hex() not in perl(PERL_READS, path)


def test_without_gdbm_it_is_said_which_package_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "dbm.gnu", None)
    with pytest.raises(StoreError, match="on Debian and Ubuntu the package python3-gdbm"):
        gdbm.GdbmStore("/nowhere")
