"""The scoreboard: what every process of lonc is doing, for anybody to read without stopping anyone.

`records.py` says what is told, `layout.py` where each byte of it lies, `segment.py` how memory that cannot
fail under the writer is had, `board.py` is the board itself.
"""

from lonc.system.scoreboard.board import NO_SLOT, Scoreboard
from lonc.system.scoreboard.layout import LAYOUT_VERSION, SLOT_SIZE
from lonc.system.scoreboard.records import (
    LATENCY_BUCKETS,
    ChildRecord,
    HeaderRecord,
    ParentRecord,
    bucket_limit_s,
    latency_bucket,
)

__all__ = [
    "LATENCY_BUCKETS",
    "LAYOUT_VERSION",
    "NO_SLOT",
    "SLOT_SIZE",
    "ChildRecord",
    "HeaderRecord",
    "ParentRecord",
    "Scoreboard",
    "bucket_limit_s",
    "latency_bucket",
]
