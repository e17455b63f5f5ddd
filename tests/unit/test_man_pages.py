"""The manual pages say what the programs take: no option, setting, signal or call without its line."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lonc.config.settings import SERVER
from lonc.lond.cli import command_line
from lonc.lonnet.network import Network

MAN = Path(__file__).parents[2] / "doc" / "man"
PAGES = sorted(MAN.iterdir())


def plain(page: str) -> str:
    """Return a page's text without the marks for fonts and with plain hyphens."""
    text = (MAN / page).read_text("utf-8")
    return re.sub(r"\\f[BIPR]", "", text).replace("\\-", "-")


def test_every_option_of_lond_has_its_line_and_no_other() -> None:
    known = {option for action in command_line()._actions for option in action.option_strings}
    hidden = {"--resume"}
    told = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", plain("lond.8")))
    assert told == known - hidden


def test_every_setting_of_lond_stands_there_with_its_default() -> None:
    text = plain("lond.8")
    told = dict(re.findall(r'\.BR (lond\w+) " \(([^ )]*)', text))
    assert told == {setting.name: setting.default_text() for setting in SERVER}


def test_every_call_of_the_library_stands_there() -> None:
    calls = {name for name in vars(Network) if not name.startswith("_")} - {"close", "after_fork", "forget_home"}
    text = plain("lonnet.3")
    told = set(re.findall(r"^\.BI? (hosts$|\w+(?=\())", text, re.MULTILINE))
    assert told == calls


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_page_is_set_without_complaint(page: Path) -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed: apt-get install groff-base")
    command = ["groff", "-man", "-Tutf8", "-ww", "-z", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
