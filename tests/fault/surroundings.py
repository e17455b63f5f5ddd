"""Owns what the tests of a daemon in bad surroundings share: one that logs much, and what it tells on stderr."""

from __future__ import annotations

import signal

from tests.process.harness import Site


def own_stderr(site: Site) -> tuple[str, ...]:
    """Return what makes a daemon keep this file as its stderr, as the watchdog's redirection does."""
    return ("/bin/sh", "-c", f'exec "$@" 2>>{site.root}/daemon.err', "sh")


def told(site: Site) -> list[str]:
    """Return what the daemon has told on its stderr."""
    return (site.root / "daemon.err").read_text("utf-8", "replace").splitlines()


def begin(site: Site) -> None:
    """Start the daemon with transactions logged."""
    site.peer("msul1")
    site.start(wrapper=own_stderr(site))
    site.wait_ready()
    log_transactions(site)


def log_transactions(site: Site) -> None:
    before = site.log_text().count("Transaction logging on")
    site.signal(signal.SIGUSR2, site.child("msul1"))
    site.wait_log("Transaction logging on", count=before + 1)
