"""Owns the delayed message directory: looks, reads, deletes, rejects, quarantines; one sender per peer.

Every state that may lie on the disk, as any crash at any moment may leave it (D = lonSockDir/delayed):

    D/NAME                     a message: one line, kept until its reply was no failure; or still being written
    D/NAME and D/.lock-PEER    names it too: it was on its way when its sender ended; it is sent again and may
                               have arrived twice: told at the next flush (P3)
    D/.sent-PEER~              a message between its reply and its deletion. If .lock-PEER names it (device,
                               inode, size, mtime), it is deleted by the next sender; if not, it replaced a message
                               in the very moment of its deletion, or a power cut came: it goes back and is sent
    D/rejected/NAME(.reply)    lond answered with a failure; the reply lies beside it
    D/rejected/NAME.reply      alone: a crash in between; the message is still D/NAME and is sent again
    D/corrupt/NAME(.reason)    no message; never sent, never deleted; `.reason` alone: as above
    D/held/NAME                put there by loncctl; not ours to touch
    D/dropped/NAME             taken away by loncctl, as a copy for a week; as above
    D/.move-PEER~              an operator moves messages of this peer (claim.py), if it is locked
    D/.new-NAME~               being written, see store.py; or a message that loncctl seals for another peer
    D/.lock-PEER               empty, or starting with an empty line: nothing is on its way. Never removed
    D/.ANYTHING                a writer's temporary name, passed over

Each step from one state to another is one rename, one unlink or the creation of a companion file; nothing is
ever copied. A rename is made only by the process that holds the flush lock of the peer. What lay under a name
is checked before and after it was renamed, so a file that was replaced in between goes back (P7).

Order is (time, counter, name) by the name; of names of another form the time is their mtime and the counter 0.
What may be sent is decided by names.py (whose is it), watch.py (is it young) and reading.py (is it one line).
"""

from lonc.delayed.queue import DelayedQueue
from lonc.delayed.results import (
    Done,
    DoneKind,
    Entry,
    Gone,
    Identity,
    LockAnswer,
    Look,
    Message,
    Reading,
    Rejection,
    SetAside,
    Young,
)

__all__ = [
    "DelayedQueue",
    "Done",
    "DoneKind",
    "Entry",
    "Gone",
    "Identity",
    "LockAnswer",
    "Look",
    "Message",
    "Reading",
    "Rejection",
    "SetAside",
    "Young",
]
