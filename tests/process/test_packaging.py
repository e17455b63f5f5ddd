"""A wheel and a source distribution are built and hold everything; what pip installs runs and restarts."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lonc import __version__
from tests.conftest import SITES
from tests.process.harness import Site
from tests.process.waiting import TREE

NOT_BUILT = (
    ".git",
    ".venv",
    "build",
    "dist",
    "__pycache__",
    "*.egg-info",
    ".*_cache",
    ".hypothesis",
    ".coverage*",
)
PROGRAMS = ("lonc", "lond", "loncctl")


def run(*command: str | Path, cwd: Path = Path("/"), timeout_s: float = 300.0) -> str:
    """Run a command and return its stdout; any failure is the test's."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a copy of the tree and both distributions, the wheel made from the other one."""
    place = tmp_path_factory.mktemp("built")
    shutil.copytree(TREE, place / "tree", ignore=shutil.ignore_patterns(*NOT_BUILT), symlinks=True)
    # No isolation: what builds is in the environment of the tests, so no index of packages is asked.
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", place, place / "tree")
    return place


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a virtual environment with the wheel in it; its libraries are those of the tests."""
    place = tmp_path_factory.mktemp("installed") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", place)
    python = place / "bin" / "python"
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    wheel = next(built.glob("*.whl"))
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    run(*pip, "install", "--no-deps", "--no-index", "--ignore-installed", wheel)
    where = run(python, "-c", "import lonc; print(lonc.__file__)").strip()
    assert Path(where).is_relative_to(packages), where
    return place


def sources(tree: Path, place: str) -> set[str]:
    """Return the files below a directory of a tree, relative to the tree."""
    return {str(path.relative_to(tree)) for path in (tree / place).rglob("*") if path.is_file()}


def test_the_wheel_holds_the_package_and_its_data(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    assert {name for name in names if name.startswith("lonc/")} == sources(built / "tree", "lonc")
    assert "lonc/py.typed" in names
    assert any(name.endswith(".toml") for name in names)
    assert not [name for name in names if name.startswith("tests/")]


def test_the_source_distribution_holds_the_tree(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"README.md", "LICENSE", "CHANGELOG.md", "setup.cfg", "pyproject.toml", "Makefile", "Containerfile"}
    for place in ("lonc", "tests", "bin", "etc", "doc", ".ci"):
        wanted |= sources(built / "tree", place)
    assert sorted(wanted - names) == []


def test_pip_brings_commands_manual_completion_and_service_files(built: Path, installed: Path) -> None:
    for program in PROGRAMS:
        assert run(installed / "bin" / program, "--version") == f"{program} {__version__}\n"
        assert (installed / "share" / "bash-completion" / "completions" / program).exists()
    for page in (built / "tree" / "doc" / "man").iterdir():
        copy = installed / "share" / "man" / f"man{page.suffix[1:]}" / page.name
        assert copy.read_bytes() == page.read_bytes()
    for name in ("systemd", "tmpfiles.d", "sysusers.d", "logrotate", "sample"):
        there = {path.name for path in (installed / "share" / "lonc" / name).iterdir()}
        assert there == {path.name for path in (built / "tree" / "etc" / name).iterdir()}
    assert "status" in run(installed / "bin" / "loncctl", "--help")


class InstalledSite(Site):
    """A site whose daemon was installed by pip."""

    def __init__(self, venv: Path) -> None:
        super().__init__(["msul1"])
        self.venv = venv

    def command(self, *arguments: str) -> list[str]:
        """Return the command that starts this site's daemon."""
        return [str(self.venv / "bin" / "lonc"), "--conf-dir", str(self.conf_dir), *arguments]


@pytest.fixture
def site(installed: Path, request: pytest.FixtureRequest) -> Iterator[InstalledSite]:
    made = InstalledSite(installed)
    request.node.stash.setdefault(SITES, []).append(made)
    yield made
    made.cleanup()


def comm(pid: int) -> str:
    """Return the kernel's short name of a process."""
    return Path(f"/proc/{pid}/comm").read_text().strip()


@pytest.mark.parametrize("how", ["in the background", "in the foreground"])
def test_what_pip_has_installed_runs_and_restarts_in_place(site: InstalledSite, how: str) -> None:
    site.peer("msul1")
    pid = site.start() if how == "in the background" else site.start_foreground()
    site.wait_ready()
    for times in (1, 2):
        site.signal(signal.SIGHUP)
        site.wait_log("children hand over to new ones", 30, count=times)
        site.wait_log("Done starting initial servers", 30, count=times + 1)
        site.wait_ready()
    assert site.pid() == pid
    assert comm(pid) == "lonc"
    assert site.ask("msul1", b"ping") == b"msul1"
    assert run(site.venv / "bin" / "lonc", "-t", "--conf-dir", site.conf_dir).endswith("can be used.\n")
    site.stop()
    assert not site.pid_path.exists()
    assert "CRITICAL" not in "".join(line.message for line in site.log("PARENT"))


@pytest.mark.parametrize("program", ["lonc", "lond"])
def test_the_short_name_is_back_before_the_program_is_loaded(installed: Path, program: str) -> None:
    room = "cli" if program == "lonc" else "lond"
    code = (
        f"import sys; sys.argv = [{program!r}, '--resume', 'nonsense']\nfrom lonc.{room} import entry\n"
        "code = entry.main()\nprint(code, open('/proc/self/comm').read().strip())"
    )
    assert run(installed / "bin" / "python", "-c", code) == f"2 {program}\n"
