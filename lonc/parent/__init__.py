"""The parent: forks, reaps, signals; performs what `peers` decides; holds lock, pid file and listening sockets.

`serve` brings it up and down, `flock` is its loop, `perform` carries out, `listeners` and `birth` and
`ledger` are sockets, forks and the scoreboard; `watchman` finds stuck children, `tables` is USR2, and
`restart`, `handover` are parts of a HUP (with system/check), and `former` is what it falls back on.
"""

from lonc.parent.former import load_or_keep
from lonc.parent.rehearsal import try_out
from lonc.parent.serve import serve

__all__ = ["load_or_keep", "serve", "try_out"]
