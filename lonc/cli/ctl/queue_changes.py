"""Owns the changes of single messages: who makes them, what they were told, and what the log says of it."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from lonc.cli.ctl.operator import Person, become_operator, operator_log
from lonc.cli.ctl.orders import NoChildError, NotRunningError, Scene
from lonc.cli.ctl.output import Output
from lonc.cli.ctl.queue_scene import QueueScene
from lonc.cli.ctl.verbs import Exit
from lonc.delayed.operating import OperatingError, Operator
from lonc.delayed.sealing import Keys
from lonc.delayed.shelves import Found, NotFoundError, Place, which
from lonc.system.clock import SystemClock

DONE_WORDS = {"hold": "held", "release": "released", "retry": "put back", "drop": "dropped", "move": "moved"}


def change(scene: QueueScene, options: argparse.Namespace, out: Output) -> int:
    """Hold, release, retry, drop or move the messages that are named; go on with the next when one fails."""
    ids, target = list(options.ids), ""
    if options.action == "move":
        if len(ids) < 2:
            raise NotFoundError("say which and to whom: `queue move ID... PEER`")
        target = ids.pop()
    if not ids:
        raise NotFoundError(f"say which message: `queue {options.action} ID...`")
    chosen = [which(scene.found, said) for said in ids]
    if options.action == "drop" and not _agreed(chosen, options, out):
        raise NotFoundError("nothing was dropped: it needs a yes, or --yes")
    person = become_operator(scene.config)
    changes = _Changes(scene, person, target)
    results = [changes.make(options.action, one) for one in chosen]
    called = changes.call_children()
    done = all(result["done"] for result in results)
    text = f"{sum(bool(result['done']) for result in results)} of {len(results)} {DONE_WORDS[options.action]}"
    out.json({
        "verb": "queue", "action": options.action, "done": done, "text": text, "messages": [], "changes": results,
        "called": called,
    })  # fmt: skip
    for result in results:
        if result["done"]:
            out.say(str(result["text"]))
        elif not out.as_json:
            out.complain(str(result["text"]))
    return Exit.DONE if done else Exit.FAILED


def _agreed(chosen: list[Found], options: argparse.Namespace, out: Output) -> bool:
    if options.yes:
        return True
    shown = ", ".join(one.label for one in chosen[:5]) + ("..." if len(chosen) > 5 else "")
    return out.ask(f"Drop {len(chosen)} messages ({shown})? A copy is kept for 7 days.")


class _Changes:
    """The changes of one call."""

    def __init__(self, scene: QueueScene, person: Person, target: str) -> None:
        config, clock = scene.config, SystemClock()
        keys = Keys(config.keys_path, files=scene.files, clock=clock)
        self._operator = Operator(
            config.delayed_dir, scene.peers, keys, files=scene.files, clock=clock,
            max_line_bytes=config.max_line_bytes,
        )  # fmt: skip
        self._config = config
        self._person = person
        self._target = target
        self._log = operator_log(config)
        self._to_call: dict[str, None] = {}
        self._deeds: dict[str, Callable[[Found], Found]] = {
            "hold": self._operator.hold,
            "release": self._release,
            "retry": self._retry,
            "drop": self._operator.drop,
            "move": lambda one: self._operator.move(one, target),
        }

    def make(self, action: str, one: Found) -> dict[str, object]:
        """Make one change; return what came of it."""
        try:
            after = self._deeds[action](one)
        except OperatingError as error:
            return {"done": False, "from": one.label, "to": None, "text": str(error)}
        if after.place is Place.DELAYED and after.peer:
            self._to_call[after.peer] = None
        text = f"{one.label} {DONE_WORDS[action]}: {after.label}"
        if after is one:
            text = f"{one.label} waits already; its child is called"
        else:
            self._log.write(f"Operator ({self._person}): {text}")
        notes, self._operator.notes = self._operator.notes, []
        return {"done": True, "from": one.label, "to": after.label, "text": "; ".join([text, *notes])}

    def _release(self, one: Found) -> Found:
        if one.place not in (Place.HELD, Place.DROPPED):
            raise OperatingError(f"{one.label} is not held; `queue retry` sends a rejected one again")
        return self._operator.release(one)

    def _retry(self, one: Found) -> Found:
        if one.place is Place.DELAYED:
            return one
        return self._operator.release(one)

    def call_children(self) -> list[str]:
        """Have children look at what has come to them; return those that were told; others look by themselves."""
        called = []
        for peer in self._to_call:
            try:
                if Scene(self._config, self._person).call_child(peer):
                    called.append(peer)
            except (NotRunningError, NoChildError):
                continue
        return called
