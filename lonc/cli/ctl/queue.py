"""Show the delayed, held, rejected and corrupt messages, and hold, release, retry, drop or move single ones.

An ID is the name of the message's file or a beginning that no other has; `rejected/ID` says where it lies. Every
change is written to the log with the user who made it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from lonc.cli.ctl import queue_changes, queue_shape, queue_show
from lonc.cli.ctl.operator import NotAllowedError
from lonc.cli.ctl.output import Output
from lonc.cli.ctl.queue_scene import QueueScene
from lonc.cli.ctl.verbs import Exit
from lonc.delayed.operating import OperatingError
from lonc.delayed.shelves import NotFoundError, Place

_ACTIONS: dict[str, Callable[[QueueScene, argparse.Namespace, Output], int]] = {
    "shape": queue_shape.shape,
    "show": queue_show.show,
    "hold": queue_changes.change,
    "release": queue_changes.change,
    "retry": queue_changes.change,
    "drop": queue_changes.change,
    "move": queue_changes.change,
}
_EPILOG = """\
  queue [PEER]            every message: where it lies, age, size, command word, last error, next try
  queue shape [PEER]      a picture of ages and sizes
  queue show ID           one message; --unmask shows its text, to the owner and root, and the log tells that
  queue hold ID...        put messages aside; release ID... puts them (or dropped ones) back into the queue
  queue retry ID...       send rejected or corrupt ones again; those that wait are tried at once
  queue drop ID...        take messages away; a copy is kept for 7 days in delayed/dropped
  queue move ID... PEER   give messages to another peer; sealed ones are sealed for it
exit codes: 0 done, 1 not done (in flight, gone, or not to be changed), 2 usage, no such message, not allowed."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is to be done and with what."""
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help="PEER, or one of shape, show, hold, release, retry, drop, move"
    )
    parser.add_argument("--peer", metavar="PEER", help="a peer whose id is one of these words")
    parser.add_argument("--where", choices=[place.value for place in Place], help="only those that lie there")
    parser.add_argument("--limit", metavar="N", type=int, default=200, help="rows shown, 0 for all (200)")
    parser.add_argument("--unmask", action="store_true", help="show: with the text of the message")
    parser.add_argument("--yes", action="store_true", help="drop: without asking")
    parser.epilog = _EPILOG


def run(options: argparse.Namespace, out: Output) -> int:
    """Do what the words say."""
    action = options.words[0] if options.words and options.words[0] in _ACTIONS else ""
    options.action = action or "list"
    options.ids = options.words[1:] if action else options.words
    try:
        return _ACTIONS.get(action, queue_show.listing)(QueueScene(options), options, out)
    except (NotFoundError, NotAllowedError) as error:
        return _failed(options, out, str(error), Exit.USAGE)
    except OperatingError as error:
        return _failed(options, out, str(error), Exit.FAILED)


def _failed(options: argparse.Namespace, out: Output, text: str, code: Exit) -> int:
    out.json({"verb": "queue", "action": options.action, "done": False, "text": text, "messages": []})
    if not out.as_json:
        out.complain(text)
    return code
