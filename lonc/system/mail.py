"""Owns the one mail that lonc sends: handed to the local sendmail if there is one, within a bounded time.

Nobody waits for mail and nothing depends on it: no mailer, a slow one or a failing one is no error, and
the text goes to stderr as well. Addresses come from the configuration and become arguments of a program,
so only plain ones are taken, none that the program could read as an option.
Source: spec lonc.md 1.2.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

MAILERS = ("/usr/sbin/sendmail", "/usr/lib/sendmail", "/usr/bin/sendmail")  # no search along $PATH
_ADDRESS = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.+=%-]*(?:@[A-Za-z0-9.-]+)?", re.ASCII)


def recipients(texts: Sequence[str]) -> list[str]:
    """Return the plain addresses in texts, each once; each text may hold several with commas between them."""
    found = [word for text in texts for word in text.split(",") if _ADDRESS.fullmatch(word)]
    return list(dict.fromkeys(found))


def send_mail(
    texts: Sequence[str], subject: str, body: str, *, timeout_s: float = 10.0, mailers: Sequence[str] = MAILERS
) -> bool:
    """Return whether a mailer took the mail.

    texts: as for recipients; without any there is no mail. subject and body: ours; line ends in the subject
    are made blanks. A mailer that needs longer than timeout_s is killed. Never raises.
    """
    to = recipients(texts)
    mailer = next((path for path in mailers if os.access(path, os.X_OK)), None)
    if not to or mailer is None:
        return False
    import subprocess  # here, because a start without mail does not need it

    head = f"To: {', '.join(to)}\nSubject: {' '.join(subject.split())}\n\n"
    message = (head + body.rstrip("\n") + "\n").encode("utf-8", "backslashreplace")
    try:
        done = subprocess.run(
            [mailer, "-i", *to],
            input=message,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=timeout_s,
            start_new_session=True,  # a Ctrl-C of the terminal is not meant for it
            check=False,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
