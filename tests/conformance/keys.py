"""Owns the cases for a lonc on the key of a link: what it is made of, told by the frames that come."""

from __future__ import annotations

from tests.conformance.cipher import KEY_CHARACTERS, Cipher, folded, key_of
from tests.conformance.lonc_stage import BOOK, Link, LoncStage
from tests.conformance.model import MismatchError, UnfitError, require

TEXT = b"key:check of a frame"
case = BOOK.case


def frame_on(stage: LoncStage, build_key: bytes = b"") -> tuple[Link, bytes]:
    """Return a link, new with this build key if one is given, and a frame of TEXT that came on it."""
    link = stage.ready()
    if build_key:
        link = stage.redialed()
        link.build_key = build_key
        stage.join(link.dialogue())
    for _attempt in range(50):  # con_lost is the right answer until lonc has seen the build key
        client = stage.client()
        client.send(b"encrypt:" + TEXT)
        heard = stage.heard_or_lost(client)
        if heard is not None:
            heard.link.send(b"ok")
            client.expect(b"ok")
            return heard.link, heard.line
    raise MismatchError("a frame", "con_lost for ever")


def opens(link: Link, frame: bytes) -> None:
    """Check that the key of this link opens the frame; if not, say which other key does."""
    if readable(link.cipher, frame):
        return
    own, peer, build_key = link.target.own, link.target.peer, link.build_key
    others = {
        "with the newline on the build key": key_of(peer, own, build_key + b"\n"),
        "with the ids the other way round": key_of(own, peer, build_key),
        "with the build key in upper case": key_of(peer, own, build_key.upper()),
        "without ids": key_of(b"", b"", build_key),
    }
    found = [name for name, key in others.items() if readable(Cipher(key), frame)]
    key = f"a frame with another key: {', '.join(found) or 'none that is known'}"
    raise MismatchError("a frame that the key of this connection opens", key)


def readable(cipher: Cipher, frame: bytes) -> bool:
    """Return whether a cipher makes TEXT of a frame."""
    try:
        return cipher.text(frame) == TEXT
    except ValueError:
        return False


def names(stage: LoncStage) -> int:
    """Return how many characters both ids have together."""
    return len(folded(stage.target.peer, stage.target.own))


@case("3.1", "The key is made of the peer's id, our id and the build key, letters beyond F turned into digits.")
def usual_key(stage: LoncStage) -> None:
    """Check a frame with a usual build key."""
    opens(*frame_on(stage))


@case("3.2", "Every connection has its own key, by its own build key.")
def new_key(stage: LoncStage) -> None:
    """Check frames of two connections with each other's key."""
    first, _frame = frame_on(stage, b"0123456789ABCDEF0123")
    second, frame = frame_on(stage, b"FEDCBA98765432100123")
    opens(second, frame)
    if names(stage) >= KEY_CHARACTERS:
        raise UnfitError("the ids alone fill the key")
    require(not readable(first.cipher, frame), "a frame with the new key", "one with the old key")


@case("3.3", "The newline behind the build key is no part of the key.", ours="D28")
def newline(stage: LoncStage) -> None:
    """Check a build key so short that a newline would be among the characters that count."""
    if names(stage) + 4 >= KEY_CHARACTERS:
        raise UnfitError("the ids are too long to show it")
    opens(*frame_on(stage, b"1A2B"))


@case("3.4", "Where ids and build key are too short, the digit 0 fills the key.")
def filled(stage: LoncStage) -> None:
    """Check a build key of one character."""
    if 3 * (names(stage) + 1) >= KEY_CHARACTERS:
        raise UnfitError("the ids are too long to show it")
    opens(*frame_on(stage, b"7"))


@case("3.5", "Only the first 32 characters of ids and build key count.")
def cut(stage: LoncStage) -> None:
    """Check a long build key."""
    opens(*frame_on(stage, b"0123456789ABCDEF" * 6))


@case("3.6", "Letters of the build key are taken as they are: four bits of each, neither folded nor refused.")
def letters(stage: LoncStage) -> None:
    """Check letters beyond F and small ones."""
    opens(*frame_on(stage, b"GHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"))


@case("3.7", "Ids that hold `-`, `_` or `.` have a key, too: four bits of each character.")
def punctuation(stage: LoncStage) -> None:
    """Check such ids, where this lonc has them."""
    if not set(stage.target.peer + stage.target.own) & set(b"-_."):
        raise UnfitError("neither id holds one of these characters")
    opens(*frame_on(stage))


@case("3.8", "Ids that have 32 characters together make the same key whatever the build key.")
def long_ids(stage: LoncStage) -> None:
    """Check frames of two connections with one key."""
    if names(stage) < KEY_CHARACTERS:
        raise UnfitError("the ids have fewer characters")
    _first, one = frame_on(stage, b"0123456789ABCDEF0123")
    second, other = frame_on(stage, b"FEDCBA98765432100123")
    opens(second, other)
    require(one == other, "the same frame on both connections", "two")


@case("3.9", "On one connection the key stays the same.")
def steady_key(stage: LoncStage) -> None:
    """Check two frames of one connection."""
    link, frame = frame_on(stage, b"00112233445566778899")
    opens(link, frame)
    same, again = frame_on(stage)
    if same is not link:
        raise UnfitError("it has opened another link meanwhile")
    opens(link, again)
    require(frame == again, "equal frames of equal texts on one connection", "two")
