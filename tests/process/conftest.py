"""Owns the fixtures that make sites of lond; each site is ended after its test, and shown when the test fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.conftest import SITES, end_sites
from tests.process.harness import Site
from tests.process.lond_site import LondSite, Pair, make_pair

MakeLond = Callable[..., LondSite]
MakePair = Callable[..., Pair]


@pytest.fixture
def lond_sites() -> Iterator[list[Site]]:
    """Hold the sites of a test and end them after it."""
    sites: list[Site] = []
    yield sites
    end_sites(sites)


@pytest.fixture
def make_lond(lond_sites: list[Site], request: pytest.FixtureRequest) -> MakeLond:
    """Return what makes a LondSite, with its own arguments."""

    def make(*arguments: object, **options: object) -> LondSite:
        site = LondSite(*arguments, **options)  # type: ignore[arg-type]  # LondSite checks its own arguments
        lond_sites.append(site)
        request.node.stash.setdefault(SITES, []).append(site)
        return site

    return make


@pytest.fixture
def lond(make_lond: MakeLond) -> LondSite:
    """Return a site of lond; nothing runs yet."""
    return make_lond()


@pytest.fixture
def make_lonc_and_lond(lond_sites: list[Site], request: pytest.FixtureRequest) -> MakePair:
    """Return what makes a Pair, with make_pair's arguments."""

    def make(**options: object) -> Pair:
        pair = make_pair(**options)  # type: ignore[arg-type]  # make_pair checks its own arguments
        lond_sites.extend((pair.lonc, pair.lond))
        request.node.stash.setdefault(SITES, []).extend((pair.lonc, pair.lond))
        return pair

    return make
