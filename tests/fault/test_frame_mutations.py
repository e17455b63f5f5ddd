"""Row 14: every mutation of one byte of 50 valid frames, and some of them over the wire.

In this process each byte of each frame becomes every other byte. A frame is decoded to one line or refused and
not quoted; nothing else may come out, and what stands behind it is not touched.

LONC_TEST_MUTATIONS says how many go over the wire (default 60).
"""

from __future__ import annotations

import os
import random

import pytest

from lonc.errors import CipherError
from lonc.wire.cipher import FrameCipher
from tests.conftest import MakeSite
from tests.process.harness import Site
from tests.proof.tally import Tally

FRAMES = 50
OVER_THE_WIRE = int(os.environ.get("LONC_TEST_MUTATIONS") or 60)
KEY = b"0123456789ABCDEF"


def cipher() -> FrameCipher:
    """Return a cipher of a fixed key."""
    return FrameCipher(KEY)


def frames(made: FrameCipher) -> list[bytes]:
    """Return valid frames of texts of different length, the empty one and blocks' ends among them."""
    chance = random.Random(14)
    sizes = [0, 1, 7, 8, 9, 15, 16, 17, *(chance.randrange(40) for _ in range(FRAMES - 8))]
    return [made.encode(chance.randbytes(size).replace(b"\n", b"x")) for size in sizes]


def attempt(made: FrameCipher, frame: bytes) -> str:
    """Decode a frame: one line comes out, or return why it was refused."""
    try:
        text = made.decode(frame)
    except CipherError as error:
        return str(error)
    assert b"\n" not in text
    return ""


def test_every_mutation_of_one_byte_is_decoded_or_refused(tally: Tally) -> None:
    made = cipher()
    decoded = refused = 0
    for frame in frames(made):
        for at in range(len(frame)):
            for byte in range(256):
                if byte in (10, frame[at]):  # a newline ends the line: two shorter ones, both among the others
                    continue
                mutated = frame[:at] + bytes([byte]) + frame[at + 1 :]
                told = attempt(made, mutated)
                assert mutated[8:].decode("latin-1") not in told
                refused += bool(told)
                decoded += not told
    tally.add(inputs=decoded + refused, faults=decoded + refused)
    print(f"\n{decoded} mutations decoded to other texts, {refused} refused")
    assert decoded > 1000
    assert refused > 100_000


@pytest.mark.parametrize("cut", [True, False])
def test_every_shorter_and_longer_frame_is_decoded_or_refused(tally: Tally, cut: bool) -> None:
    made = cipher()
    for frame in frames(made):
        for at in range(len(frame) + 1):
            changed = frame[:at] if cut else frame[:at] + b"0" + frame[at:]
            attempt(made, changed)
            tally.add(inputs=1, faults=1)


def test_mutated_frames_over_the_wire(make_site: MakeSite, tally: Tally) -> None:
    """A peer that answers with them: one line for each, and the right one for what comes next."""
    chance = random.Random(15)
    site: Site = make_site(settings={"loncRequestTimeout": "20"})
    peer = site.peer("msul1")
    site.start()
    site.wait_ready()
    child = site.child("msul1")
    valid = frames(cipher())
    with site.connect("msul1") as one, site.connect("msul1") as two:
        for number in range(OVER_THE_WIRE):
            frame = bytearray(chance.choice(valid))
            frame[chance.randrange(len(frame))] = chance.choice([byte for byte in range(256) if byte != 10])
            said = "".join(f"\\x{byte:02x}" for byte in frame)
            peer.script(f"on *mutated*=reply:{said}")
            one.send(b"encrypt:eecho:mutated", b"echo:next %d" % number)
            two.send(b"encrypt:eecho:mine %d" % number)
            found = one.lines(2, 20)
            assert found[0] is not None
            assert found[1] == b"next %d" % number
            assert two.line(20) == b"mine %d" % number
            tally.add(inputs=3, faults=1)
    assert site.child("msul1") == child
    assert site.board("msul1").child.links_opened == 1
    assert "ABNORMAL EXIT" not in site.log_text()
