"""Owns the command line of the suite and what it tells about the program under test."""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.conformance.lonc_stage import LoncTarget
from tests.conformance.lond_stage import LondTarget

# 60 s to send and 60 s to answer a step, 5 s before a row; up to 6 minutes of sleep behind a failed dial.
ORIGINAL_LIMIT_S, ORIGINAL_REDIAL_S = 130.0, 420.0
LIMIT_S, REDIAL_S = 10.0, 20.0


def place(text: str) -> tuple[str, int]:
    """Return address and port of `ADDRESS:PORT`; an IPv6 address may stand in brackets."""
    address, colon, port = text.rpartition(":")
    if not colon or not port.isdigit():
        raise argparse.ArgumentTypeError(f"not ADDRESS:PORT: {text}")
    return address.strip("[]"), int(port)


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(
        prog="tests.conformance", description="One test for each sentence of the protocol; see doc/conformance.md."
    )
    add = made.add_argument
    add("sections", nargs="*", metavar="SECTION", help="sections (4) and sentences (4.2) to test; all by default")
    add("--lonc", metavar="SOCKET", help="test the lonc that listens there for the peer")
    add("--listen", type=place, metavar="ADDRESS:PORT", help="where this lonc dials its peer: we are its lond")
    add("--lond", type=place, metavar="ADDRESS:PORT", help="test this lond, in whose table our address stands")
    add("--own-id", help="of lonc, or of ours as client of lond", default="")
    add("--peer-id", help="of lond", default="")
    add("--original", action="store_true", help="what is ours alone is no failure; long limits")
    usual = f"{LIMIT_S:g}; originals {ORIGINAL_LIMIT_S:g}"
    add("--max-line", type=int, default=0, metavar="BYTES", help="longest request that the program takes")
    add("--timeout", type=float, default=0.0, metavar="S", help=f"limit of each step of a case ({usual})")
    usual = f"{REDIAL_S:g}; originals {ORIGINAL_REDIAL_S:g}"
    add("--redial", type=float, default=0.0, metavar="S", help=f"limit of a new dial ({usual})")
    add("--retry", type=int, default=0, metavar="N", help="attempts more for a case that fails; the report tells")
    add("--json", type=Path, metavar="FILE", help="write all outcomes there as well")
    add("--list", action="store_true", help="list the sentences and stop")
    add("--write", action="store_true", help="bring the table in doc/conformance.md up to date and stop")
    _lonc_options(made)
    _lond_options(made)
    return made


def _lonc_options(made: argparse.ArgumentParser) -> None:
    add = made.add_argument_group("what is known of lonc").add_argument
    add("--grace", type=float, default=2.0, metavar="S", help="how long its requests wait without a link (2)")
    add("--request-timeout", type=float, default=0.0, metavar="S", help="limit of a request, if it is short")
    add("--init-timeout", type=float, default=0.0, metavar="S", help="limit of a step of the dialogue, if short")
    add("--max-reply", type=int, default=0, metavar="BYTES", help="longest reply")
    add("--long-reply", type=int, default=1 << 20, metavar="BYTES", help="length for sentence 1.11 (1 MiB)")
    add("--delayed", default="", metavar="DIRECTORY", help="of its delayed messages, where some are put")
    add("--wake", type=int, default=0, metavar="PID", help="gets USR1 where a new dial is waited for")


def _lond_options(made: argparse.ArgumentParser) -> None:
    add = made.add_argument_group("what is known of lond").add_argument
    add("--second-id", default="", help="another id of its own")
    add("--source", default="", metavar="ADDRESS", help="address to come from")
    add("--stranger", default="", metavar="ADDRESS", help="address of ours that is in no table")
    add("--user", default="", metavar="DOMAIN:NAME", help="user at home there, to whose data is written")


def lonc_target(options: argparse.Namespace) -> LoncTarget:
    """Return what the command line tells of a lonc."""
    limit_s, redial_s = limits(options)
    address, port = options.listen
    return LoncTarget(
        options.lonc,
        address,
        port,
        options.own_id.encode(),
        options.peer_id.encode(),
        limit_s=limit_s,
        redial_s=redial_s,
        grace_s=options.grace,
        request_timeout_s=options.request_timeout,
        init_timeout_s=options.init_timeout,
        max_line=options.max_line,
        max_reply=options.max_reply,
        long_bytes=options.long_reply,
        delayed=options.delayed,
        wake=options.wake,
    )


def lond_target(options: argparse.Namespace) -> LondTarget:
    """Return what the command line tells of a lond."""
    address, port = options.lond
    return LondTarget(
        address,
        port,
        options.own_id.encode(),
        options.peer_id.encode(),
        second=options.second_id.encode(),
        source=options.source,
        stranger=options.stranger,
        user=options.user.encode(),
        max_line=options.max_line,
        limit_s=limits(options)[0],
    )


def limits(options: argparse.Namespace) -> tuple[float, float]:
    """Return the limits of a step and of a new dial, in seconds."""
    usual = (ORIGINAL_LIMIT_S, ORIGINAL_REDIAL_S) if options.original else (LIMIT_S, REDIAL_S)
    return options.timeout or usual[0], options.redial or usual[1]
