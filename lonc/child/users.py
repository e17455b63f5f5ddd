"""Which local users may ask: the daemon's own, root, and those of loncAllowUsers."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable


def allowed_uids(names: Iterable[str]) -> frozenset[int]:
    """Return the user ids that may use the sockets; a name that the system does not know is passed over.

    It is looked up once, before the loop runs: a user data base may be slow. Source: promises.md 3.
    """
    uids = {0, os.geteuid()}
    for name in names:
        try:
            uids.add(pwd.getpwnam(name).pw_uid)
        except KeyError:
            continue
    return frozenset(uids)
