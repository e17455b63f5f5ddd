"""Explain a message of the log (by id or text), a state, an exit code or a count of the watchdog.

What is asked may be a message id (LONC-209, 209), a line of the log or a part of it, a word that status, a title
or the status file shows, a setting, an exit code, or a count of loncron (notices, warnings, errors, N, W, E).
Without a word everything but the settings is listed.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass

from lonc.catalogue import Message, Word, find, messages, sections, words
from lonc.catalogue.messages import bare, own_id
from lonc.cli.ctl.output import Output
from lonc.cli.ctl.verbs import Exit
from lonc.config import SETTINGS, Setting

_EPILOG = """\
exit codes: 0 explained, 1 nothing is known of it, 2 usage.
Needs no configuration and no running daemon."""
_ID = re.compile(r"(?:LONC-)?([1-9]\d\d)", re.IGNORECASE)
MOST_GUESSES = 8


@dataclass(frozen=True, slots=True)
class Answer:
    """One explanation. kind: what it is; name: an id or a word; text: the message, empty for a word."""

    kind: str
    name: str
    text: str
    severity: str
    cause: str
    remedy: str


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words."""
    parser.epilog = _EPILOG
    about = "an id, a line of the log, a state, a setting, an exit code, a count"
    parser.add_argument("words", nargs="*", metavar="WORD", help=about)


def run(options: argparse.Namespace, out: Output) -> int:
    """Show every explanation of what is asked."""
    asked = " ".join(options.words)
    if not asked:
        _list(out)
        return Exit.DONE
    found = answers(asked)
    # What is asked is a line of somebody's log, so it is not repeated: it may hold anything.
    out.json({"found": [_document(one) for one in found]})
    for number, one in enumerate(found):
        if number:
            out.say()
        _show(one, out)
    if not found:
        out.complain("nothing is known of that; `loncctl explain` without a word lists what can be asked")
        return Exit.FAILED
    return Exit.DONE


def answers(asked: str) -> list[Answer]:
    """Return every explanation of what is asked, the nearest first; nothing when none is known."""
    wanted = asked.strip()
    number = _ID.fullmatch(wanted)
    if number is not None and f"LONC-{number[1]}" in messages():
        return [_of_message(messages()[f"LONC-{number[1]}"])]
    found = [_of_word(one) for one in words(wanted)]
    found += [_of_setting(one) for one in SETTINGS if one.name.casefold() == wanted.casefold()]
    named = messages().get(own_id(wanted))
    chain = [_of_message(named)] if named is not None else []
    chain += [one for one in _chain(wanted) if one not in chain]
    found += chain
    return found or [_of_message(one) for one in _guesses(bare(wanted))]


def _chain(text: str) -> list[Answer]:
    """Return the message that a text is, then the message that the reason in it is, and so on."""
    found: list[Answer] = []
    match = find(text)
    while match is not None and len(found) < 3:
        found.append(_of_message(match.message))
        match = find(match.parts[-1]) if match.parts and len(match.parts[-1]) > 3 else None
    return found


def _guesses(text: str) -> list[Message]:
    """Return messages that have this text in them, as a last resort; none for less than four characters."""
    wanted = text.casefold()
    if len(wanted) < 4:
        return []
    return [one for one in messages().values() if wanted in one.text.casefold()][:MOST_GUESSES]


# --- what is shown ----------------------------------------------------------------------------------------


def _of_message(one: Message) -> Answer:
    return Answer("message", one.id, one.text, one.severity, one.cause, one.remedy)


def _of_word(one: Word) -> Answer:
    return Answer(one.kind, one.word, "", "", one.cause, one.remedy)


def _of_setting(one: Setting) -> Answer:
    cause = f"{one.meaning}; a value is {one.allowed()}, the default {one.default_text() or 'empty'}"
    remedy = f"`loncctl config {one.name} --origin` shows what it is here and where it was given"
    return Answer("setting", one.name, "", "", cause, remedy)


def _show(one: Answer, out: Output) -> None:
    head = f"{one.name}: {_plain(one.text)}" if one.text else f"{one.name}: {one.kind}"
    out.say(head, style="bold")
    if one.severity:
        out.say(f"  counts as: {one.severity}")
    out.say(f"  means: {_plain(one.cause)}")
    out.say(f"  do:    {_plain(one.remedy)}")


def _plain(markdown: str) -> str:
    """Return a text of the catalogue without what only means something in a document."""
    return re.sub(r"\[([^\]]*)\]\(([^)]*)\)", r"\1 (doc/\2)", markdown)


def _document(one: Answer) -> dict[str, str]:
    return {
        "kind": one.kind,
        "name": one.name,
        "text": _plain(one.text),
        "severity": one.severity,
        "cause": _plain(one.cause),
        "remedy": _plain(one.remedy),
    }


def _list(out: Output) -> None:
    everything = [*map(_of_word, words()), *map(_of_message, messages().values())]
    out.json({"found": [_document(one) for one in everything]})
    for kind in dict.fromkeys(one.kind for one in words()):
        out.say(f"{kind}:", style="bold")
        out.say("  " + ", ".join(one.word for one in words() if one.kind == kind))
    for section in sections():
        out.say()
        out.say(f"messages: {section.title}", style="bold")
        for one in messages().values():
            if one.section == section.name:
                out.say(f"  {one.id}  {_plain(one.text)}")
