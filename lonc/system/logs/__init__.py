"""The log and the permanent log: what is written, how it is masked, and what happens when it cannot be.

`line.py` says what a line looks like, `masks.py` what of a request may be shown, `append.py` how a line gets
to the disk, `log.py` and `permlog.py` are the two logs, `repeats.py` holds back what would only be repeated.
"""

from lonc.system.logs.line import Severity
from lonc.system.logs.log import Log, daemon_log
from lonc.system.logs.masks import perm_command, shown_command, shown_reply
from lonc.system.logs.permlog import PermLog
from lonc.system.logs.repeats import RepeatedWarnings
from lonc.system.shown import clean, printable

__all__ = [
    "Log",
    "PermLog",
    "RepeatedWarnings",
    "Severity",
    "clean",
    "daemon_log",
    "perm_command",
    "printable",
    "shown_command",
    "shown_reply",
]
