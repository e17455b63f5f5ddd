"""Owns what the tests of threats share: the sites of lond, as the tests with real processes have them."""

from __future__ import annotations

from tests.process.conftest import lond_sites, make_lonc_and_lond, make_lond

__all__ = ["lond_sites", "make_lonc_and_lond", "make_lond"]
