"""Write the status page lon-status/lonc.html and its data lonc.json.

Both are replaced at once and whole (rename), mode 0644. lonc.json also holds the samples of the last hour, which
the next run continues: run it every 10 s or more seldom, by a timer or with loncPage on, and the curves fill.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os

from lonc.cli.ctl.output import Output
from lonc.cli.ctl.page import history as memory
from lonc.cli.ctl.page.html import page
from lonc.cli.ctl.rates import Row, as_json, counts_of, rows
from lonc.cli.ctl.snapshot import Snapshot, take
from lonc.cli.ctl.verbs import Exit, config_of
from lonc.system.files import SystemFiles, replace_file

MODE = 0o644  # the web server reads them
NICE = 19
REFRESH_S = 30

_EPILOG = """\
exit codes: 0 written, 1 not written, 2 usage or configuration.
Without a directory lon-status nothing is written. The page is also written when lonc does not run, and says so.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "--background", action="store_true",
        help="as nice as can be, and the page loads itself again every 30 s: as with loncPage on",
    )  # fmt: skip


def run(options: argparse.Namespace, out: Output) -> int:
    """Write both files; return the exit code."""
    config = config_of(options)
    if options.background:
        with contextlib.suppress(OSError):
            os.nice(NICE)
    html_path = config.page_path
    json_path = html_path.removesuffix(".html") + ".json"
    past, why = memory.load(json_path)
    if why:
        out.complain(f"a new history begins: {why}")
    snapshot = take(config)
    now = snapshot.at_wall
    shown = rows(snapshot, past.base, past.elapsed_s(now))
    past.add(now, shown, counts_of(snapshot))
    text = page(snapshot, shown, past, refresh_s=REFRESH_S if options.background else 0)
    files = SystemFiles()
    os.umask(0o022)
    try:
        # The data first: whoever has seen a new page finds nothing older there.
        replace_file(files, json_path, document(snapshot, shown, past), MODE, sync=False)
        replace_file(files, html_path, text.encode("utf-8", "backslashreplace"), MODE, sync=False)
    except OSError as error:
        out.complain(f"{os.path.dirname(html_path)}: {error.strerror}")
        return Exit.FAILED
    out.say(f"{html_path} and lonc.json: {len(shown)} peers, {len(past.at)} samples of the last hour")
    out.json({"html": html_path, "json": json_path, "peers": len(shown), "samples": len(past.at)})
    return Exit.DONE


def document(snapshot: Snapshot, shown: list[Row], past: memory.History) -> bytes:
    """Return lonc.json: what the page shows, and what the next run needs."""
    strays = snapshot.strays
    peers = [as_json(row) for row in shown]
    for entry, peer in zip(peers, snapshot.peers, strict=True):
        kinds = ("rejected", "corrupt", "held")
        entry.update({kind: getattr(peer.piles, kind).count for kind in kinds})
    value = {
        "format": memory.FORMAT,
        "server": snapshot.config.host_id,
        "at": snapshot.at_wall,
        "life": snapshot.daemon.life.value,
        "pid": snapshot.daemon.pid,
        "step_s": memory.step_s(len(shown)),
        "peers": peers,
        "strays": strays.delayed.count,
        **memory.as_json(past),
    }
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")
