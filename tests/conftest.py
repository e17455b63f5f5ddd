"""Owns what tests of several directories share: the end of every site, and its report when a test fails."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator
from typing import Protocol

import pytest

from tests.bench.kit import Kit, KitMissing, build
from tests.process.harness import Site

pytest_plugins = ["tests.proof.tally"]
SITES = pytest.StashKey[list[Site]]()
SERIAL = "timing"  # tests with this mark run when nothing else does (tests/run.py)


class MakeSite(Protocol):
    """Makes a Site with Site's own arguments and ends it after the test."""

    def __call__(self, *arguments: object, **options: object) -> Site: ...


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known, and interrupts possible."""
    config.addinivalue_line("markers", f"{SERIAL}: measures time or load; nothing may run beside it")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job: what is started here is none
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow tests, so that no worker is left alone with one when all others are through."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Skip a test that looks into /proc where only root may: lonc's processes are not dumpable."""
    try:
        yield
    except PermissionError as error:
        if os.geteuid() and str(error.filename).startswith("/proc/"):
            pytest.skip(f"only root may look at {error.filename}: lonc's processes are not dumpable")
        raise


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.CallInfo[None], None]:
    """Attach the logs of the test's sites to the report of a failure, before the sites are removed."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]  # pluggy's Result, untyped in hook wrappers
    if report.failed and call.when != "teardown":
        for site in item.stash.get(SITES, []):
            report.sections.append((f"site {site.root.name}", site.report()))


def end_sites(sites: list[Site]) -> None:
    """End every site, whatever the end of another one brings; AssertionError: what was wrong with any."""
    problems = []
    for site in sites:
        try:
            site.cleanup()
        except AssertionError as error:
            problems.append(str(error))
    assert not problems, problems


@pytest.fixture
def make_site(request: pytest.FixtureRequest) -> Iterator[MakeSite]:
    """Return what makes a Site; every site made is ended after the test, whatever happened."""
    sites: list[Site] = request.node.stash.setdefault(SITES, [])

    def make(*arguments: object, **options: object) -> Site:
        site = Site(*arguments, **options)  # type: ignore[arg-type]  # Site checks its own arguments
        sites.append(site)
        return site

    yield make
    end_sites(sites)


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    """Return a site with one host, msul1; nothing runs yet."""
    return make_site()


@pytest.fixture
def talking(site: Site) -> Site:
    """Return that site, running, with its link ready."""
    site.peer("msul1")
    site.start()
    site.wait_ready()
    return site


@pytest.fixture(scope="session")
def kit() -> Kit:
    """Return the measuring programs; skips with the reason where they cannot be had."""
    try:
        return build()
    except KitMissing as missing:
        pytest.skip(str(missing))
