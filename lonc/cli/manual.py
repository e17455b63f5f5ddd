"""Owns what is made from tables in the manual pages and the completion: settings, verbs, messages, command lines.

    python -m lonc.cli.manual            say what is out of date (status 1 when anything is)
    python -m lonc.cli.manual --write    bring it up to date

A page holds a comment `generated: NAME`, lines that this module writes, and a comment `end of generated`. A file
of etc/bash-completion is written as a whole; out of date is one whose words are not those of the command.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from lonc.catalogue import messages, sections, words
from lonc.cli import completion, roff
from lonc.cli.ctl import main as ctl
from lonc.cli.renewing import TREE, check_or_renew
from lonc.config.settings import ORIGINAL, OURS, SERVER, Setting

PAGES: Final = TREE / "doc" / "man"
COMPLETIONS: Final = TREE / "etc" / "bash-completion"
REFRESH: Final = "python -m lonc.cli.manual --write"
_PLACE = re.compile(r'^\.\\" generated: (?P<name>\w+)\n.*?^\.\\" end of generated\n', re.DOTALL | re.MULTILINE)
_COMMON: Final = {"help", "conf_dir", "json"}  # of every verb: told once, by the page itself


# --- settings -----------------------------------------------------------------------------------------------


def settings() -> list[str]:
    """Return every setting with its default, meaning, range and unit."""
    groups = {"The names of LON-CAPA": ORIGINAL, "lonc": OURS, "lond": SERVER}
    found = []
    for title, group in groups.items():
        found.append(roff.subsection(title))
        for setting in group:
            found += roff.item(f"\\fB{roff.plain(setting.name)}\\fP ({_default(setting)})", _meaning(setting))
    return found


def _default(setting: Setting) -> str:
    if setting.default is None:
        return "no default"
    return roff.plain(f"{setting.default_text() or 'empty'} {_unit(setting)}".strip())


def _unit(setting: Setting) -> str:
    return {"s": "seconds", "ms": "milliseconds"}.get(setting.unit, setting.unit)


def _meaning(setting: Setting) -> str:
    meaning = setting.meaning[0].upper() + setting.meaning[1:]
    needs = " or ".join(f"`{name}`" for name in setting.needs)
    without = f" Has no effect unless {needs} differs from its default." if needs else ""
    return roff.marked(f"{meaning}. A value is {setting.allowed()}.{without}")


# --- verbs --------------------------------------------------------------------------------------------------


def verbs() -> list[str]:
    """Return every verb of loncctl with its arguments, as its --help has them."""
    found = []
    for name, parser in _subparsers(ctl.parser()):
        found.append(roff.subsection(name))
        found += _described(name, parser)
    return found


def _subparsers(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _described(name: str, parser: argparse.ArgumentParser) -> list[str]:
    own = [action for action in parser._actions if action.dest not in _COMMON and action.help != argparse.SUPPRESS]
    inner = list(_subparsers(parser))
    shown = [action for action in own if not isinstance(action, argparse._SubParsersAction)]
    synopsis = " ".join([f"\\fB{roff.plain(f'loncctl {name}')}\\fP", *map(_synopsis, shown)])
    found = [".PP", roff.line(synopsis + (" \\fIVERB\\fP" if inner else ""))]
    found += roff.paragraphs(parser.description or "")
    for action in shown:
        found += roff.item(_head(action), roff.marked(_help(action)))
    found += roff.paragraphs(parser.epilog or "")
    for word, one in inner:
        found += _described(f"{name} {word}", one)
    return found


def _synopsis(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"[{_value(action)}]" if action.nargs in ("?", "*") or not action.required else _value(action)
    return f"[{_head(action).split(', ')[-1]}]"


def _head(action: argparse.Action) -> str:
    """Return the option with its value, or the argument, with fonts."""
    if not action.option_strings:
        return _value(action)
    names = ", ".join(f"\\fB{roff.plain(option)}\\fP" for option in action.option_strings)
    return names if action.nargs == 0 else f"{names} {_value(action)}"


def _value(action: argparse.Action) -> str:
    if isinstance(action.metavar, str):
        word = action.metavar
    elif action.choices is not None:
        word = "|".join(str(choice) for choice in action.choices)
    else:
        word = action.dest.upper()
    return f"\\fI{roff.plain(word)}\\fP" + (" ..." if action.nargs in ("*", "+") else "")


def _help(action: argparse.Action) -> str:
    values = {**vars(action), "prog": "loncctl"}
    return (action.help or "") % values if action.help else ""


# --- messages and words --------------------------------------------------------------------------------------


def log_messages() -> list[str]:
    """Return every message of the logs with its id, its meaning and its remedy."""
    found = []
    for section in sections():
        found.append(roff.subsection(section.title))
        for one in messages().values():
            if one.section == section.name:
                head = f"\\fB{roff.plain(one.id)}\\fP  {roff.marked(one.text)}"
                found += roff.item(head, _sentences(one.means, one.do))
    return found


def _sentences(means: str, do: str) -> str:
    """Return what something means, and what to do if there is anything, each with its full stop."""
    parts = [part.rstrip(". ") for part in (means, f"Do: {do}" if do else "")]
    return roff.marked(" ".join(part if part.endswith("?") else f"{part}." for part in parts if part))


def replies() -> list[str]:
    """Return every word of a reply with its meaning."""
    found = []
    for one in words():
        if one.kind == "reply":
            remedy = one.remedy if one.remedy != "nothing" else ""
            found += roff.item(f"\\fB{roff.plain(one.word)}\\fP", _sentences(one.cause, remedy))
    return found


PARTS: Final[dict[str, Callable[[], list[str]]]] = {
    "settings": settings,
    "verbs": verbs,
    "messages": log_messages,
    "words": replies,
}


# --- files --------------------------------------------------------------------------------------------------


def renewed(text: str) -> str:
    """Return a page's text with every generated part made anew. KeyError: a part of an unknown name."""

    def block(place: re.Match[str]) -> str:
        name = place["name"]
        return f'.\\" generated: {name}\n{roff.text_of(PARTS[name]())}.\\" end of generated\n'

    return _PLACE.sub(block, text)


def words_of(script: str) -> list[str]:
    """Return what a completion completes; the rest of a script is shtab's own and differs between its releases."""
    known = re.compile(r"_shtab_\w+(_COMPGEN|_option_strings|_choices|_subparsers)=")
    return [line for line in script.splitlines() if known.match(line)]


def stale() -> dict[Path, str]:
    """Return the files that are out of date, with what should stand in them."""
    found = {}
    for page in sorted(PAGES.iterdir()):
        text = page.read_text("utf-8")
        if renewed(text) != text:
            found[page] = renewed(text)
    for name, parser in completion.commands().items():
        path, script = COMPLETIONS / name, completion.script(parser)
        there = path.read_text("utf-8") if path.exists() else ""
        if words_of(there) != words_of(script) or not there:
            found[path] = script
    return found


def main(argv: list[str] | None = None) -> int:
    """Check or renew all files; return 0 when they are (now) up to date."""
    return check_or_renew(REFRESH, __doc__, stale(), argv)


if __name__ == "__main__":
    sys.exit(main())
