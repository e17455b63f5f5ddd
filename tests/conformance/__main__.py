"""Runs the suite against a lonc or a lond; see doc/conformance.md.

    python -m tests.conformance --lonc SOCKET --listen ADDRESS:PORT --own-id H --peer-id P
    python -m tests.conformance --lond ADDRESS:PORT --own-id H --peer-id P
    python -m tests.conformance --list
    python -m tests.conformance --write       bring the table of doc/conformance.md up to date
"""

from __future__ import annotations

import argparse
import sys

from tests.conformance import report, tables
from tests.conformance.lonc_stage import LoncStage
from tests.conformance.lond_stage import LondStage
from tests.conformance.options import lonc_target, lond_target, parser
from tests.conformance.runner import Outcome, run_all


def listing(sections: list[str]) -> int:
    """Print the sentences, with who is tested and what is ours alone."""
    for case in tables.chosen(tables.ALL_CASES, sections):
        print(f"{case.number:>6} {case.who} {case.sentence}{f' [ours: {case.ours}]' if case.ours else ''}")
    return 0


def test_lonc(options: argparse.Namespace) -> list[Outcome]:
    """Run what is chosen against a lonc, telling each outcome as it comes."""
    cases = tables.chosen(tables.LONC_CASES, options.sections)
    stage = LoncStage(lonc_target(options))
    tell = report.Report(sys.stdout).tell
    try:
        return run_all(cases, stage, original=options.original, retries=options.retry, tell=tell)
    finally:
        stage.close()


def test_lond(options: argparse.Namespace) -> list[Outcome]:
    """Run what is chosen against a lond, telling each outcome as it comes."""
    cases = tables.chosen(tables.LOND_CASES, options.sections)
    stage = LondStage(lond_target(options))
    tell = report.Report(sys.stdout).tell
    return run_all(cases, stage, original=options.original, retries=options.retry, tell=tell)


def main(argv: list[str] | None = None) -> int:
    """Do what the command line says; 0: every sentence holds, 1: one does not, 2: the line cannot be used."""
    made = parser()
    options = made.parse_args(argv)
    if options.write:
        tables.DOCUMENT.write_text(tables.renewed(tables.DOCUMENT.read_text("utf-8")), "utf-8")
        return 0
    if options.list:
        return listing(options.sections)
    if bool(options.lonc) == bool(options.lond) or not options.own_id or not options.peer_id:
        made.error("either --lonc SOCKET --listen ADDRESS:PORT or --lond ADDRESS:PORT, and --own-id, --peer-id")
    if options.lonc and not options.listen:
        made.error("--lonc needs --listen ADDRESS:PORT")
    try:
        outcomes = test_lonc(options) if options.lonc else test_lond(options)
    except (ValueError, OSError) as error:
        made.error(str(error))
    if options.json:
        report.write_json(options.json, outcomes)
    return report.Report(sys.stdout).sum_up(outcomes)


if __name__ == "__main__":
    sys.exit(main())
