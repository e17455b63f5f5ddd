"""Owns how messages are shown: all of them in a table, one of them with everything that may be known of it."""

from __future__ import annotations

import argparse

from lonc.cli.ctl.operator import NotAllowedError, become_operator, operator_log
from lonc.cli.ctl.output import Column, Output
from lonc.cli.ctl.queue_scene import Message, QueueScene, is_owner, unknown_peer
from lonc.cli.ctl.verbs import Exit
from lonc.delayed.operating import OperatingError, Operator
from lonc.delayed.sealing import SEALED, Keys
from lonc.delayed.shelves import NotFoundError, which
from lonc.system.clock import SystemClock, ctime
from lonc.system.shown import printable

TEXT_LIMIT = 1 << 16  # characters of a message that are shown


def listing(scene: QueueScene, options: argparse.Namespace, out: Output) -> int:
    """Show every message, or those of one peer."""
    if len(options.ids) > 1:
        raise NotFoundError("one PEER, or one of shape, show, hold, release, retry, drop, move")
    peer = options.peer or (options.ids[0] if options.ids else None)
    if peer is not None and peer not in scene.peers:
        return unknown_peer(scene, peer, out, "list")
    wanted = scene.wanted(options, peer)
    limit = options.limit if options.limit > 0 and not out.as_json else len(wanted)
    messages = [scene.message(one) for one in wanted[:limit]]
    text = f"{len(wanted)} messages" if wanted else "no messages"
    out.json({"verb": "queue", "action": "list", "done": True, "text": text, "messages": messages})
    if messages:
        columns: list[str | Column] = [
            "ID", "WHERE", "PEER", Column("AGE", right=True), Column("BYTES", right=True), "COMMAND", "LAST ERROR",
            "NEXT TRY",
        ]  # fmt: skip
        out.table(columns, [_row(one) for one in messages])
    out.say(text if limit >= len(wanted) else f"{text}, {limit} of them shown (--limit 0 shows all)")
    return Exit.DONE


def _row(one: Message) -> list[str]:
    texts = {name: str(value) for name, value in one.items()}
    return [
        texts["id"], texts["where"], texts["peer"] or "?", age(one["age_s"]), texts["size_bytes"],
        texts["command"], texts["last_error"] or "-", texts["next_try"],
    ]  # fmt: skip


def show(scene: QueueScene, options: argparse.Namespace, out: Output) -> int:
    """Show one message; with --unmask its text, which is told in the log."""
    if len(options.ids) != 1:
        raise NotFoundError("say which message: `queue show ID`")
    one = which(scene.found, options.ids[0])
    message = scene.message(one)
    message["file"] = one.label
    if options.unmask:
        message["text"] = _text(scene, message, options)
    out.json({"verb": "queue", "action": "show", "done": True, "text": "", "messages": [message]})
    rows = [(name.replace("_", " "), _shown(name, value)) for name, value in message.items() if name != "text"]
    out.table(["WHAT", "IS"], rows)
    if options.unmask:
        out.say(str(message["text"]))
    return Exit.DONE


def _text(scene: QueueScene, message: Message, options: argparse.Namespace) -> str:
    """Return the text of a message in clear; only the owner and root come so far. It is told in the log."""
    config = scene.config
    if not is_owner(config.delayed_dir):
        raise NotAllowedError(f"only the owner of {config.delayed_dir} and root may see the text of a message")
    person = become_operator(config)
    one = which(scene.found, options.ids[0])
    clock = SystemClock()
    keys = Keys(config.keys_path, files=scene.files, clock=clock)
    operator = Operator(config.delayed_dir, scene.peers, keys, files=scene.files, clock=clock)
    line = operator.read(one)
    if line.startswith(SEALED):
        line, sealed_for = operator.unsealed(line, one.peer)
        message["sealed_for"] = sealed_for
    log = operator_log(config)
    log.write(f"Operator ({person}): read the text of {one.label}")
    if log.lost:
        raise OperatingError(f"its text is not shown, since that cannot be told in the log: {log.trouble}")
    return printable(line, TEXT_LIMIT)


def _shown(name: str, value: object) -> str:
    if name == "written" and isinstance(value, float):
        return ctime(value)
    if name == "age_s":
        return age(value)
    return str(value) or "-"


def age(seconds: object) -> str:
    """Return a duration as people say it: `42 s`, `7 min`, `3 h`, `5 d`."""
    value = float(seconds) if isinstance(seconds, int | float) else 0.0
    for limit, unit, word in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if value < limit:
            return f"{int(value // unit)} {word}"
    return f"{int(value // 86400)} d"
