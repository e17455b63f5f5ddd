"""The supervision table against a drawing made independently of it."""

from __future__ import annotations

import pytest

from lonc.errors import ExitCode
from lonc.peers import (
    TABLE,
    Called,
    ChildExited,
    Hurried,
    Input,
    Knocked,
    Output,
    Peers,
    Removed,
    Replaced,
    Rules,
    Sign,
    SocketFailed,
    Spawned,
    SpawnFailed,
    State,
    Stuck,
    drawing,
)

# Rows: states; columns: signs. "-" must raise and leave the state alone; "gone": out of the table.
MATRIX = """
          START    REST   KNOCK    SPAWNED NO_FORK NO_SOCKET DIED    SPENT    ENDED
WANTED    STARTING WANTED STARTING -       -       GIVEN_UP  -       -        -
STARTING  -        -      -        UP      BACKOFF GIVEN_UP  -       -        -
UP        -        -      -        -       -       -         BACKOFF GIVEN_UP BACKOFF
BACKOFF   -        -      -        -       -       GIVEN_UP  -       -        -
GIVEN_UP  -        -      -        -       -       -         -       -        -
STOPPING  STOPPING WANTED -        -       -       STOPPING  -       -        STARTING

          IDLED    FINISHED DUE      GRACE   CALL     REPLACE  REMOVE   STUCK    HURRY
WANTED    -        -        -        -       WANTED   WANTED   gone     -        -
STARTING  -        -        -        -       STARTING STARTING gone     -        -
UP        WANTED   -        UP       -       UP       STOPPING STOPPING UP       -
BACKOFF   -        -        STARTING BACKOFF BACKOFF  BACKOFF  gone     -        -
GIVEN_UP  -        -        -        -       BACKOFF  BACKOFF  gone     -        -
STOPPING  -        gone     STOPPING -       STOPPING STOPPING STOPPING STOPPING STOPPING
"""


def cells() -> list[tuple[str, str, str]]:
    found = []
    for half in MATRIX.strip("\n").split("\n\n"):
        head, *rows = [line.split() for line in half.splitlines()]
        found += [(row[0], sign, to) for row in rows for sign, to in zip(head, row[1:], strict=True)]
    return found


def in_state(name: str, *, on_demand: bool = False) -> Peers:
    """Return a table with the one peer `p` in the named state, reached by legal inputs only, at time 100."""
    peers = Peers(Rules(max_attempts=5, on_demand=on_demand or name == "WANTED"))
    peers.add("p", 100.0)
    if peers.peer("p").state is State.WANTED and name != "WANTED":
        peers.on_input("p", Knocked(), 100.0)
    if name == "GIVEN_UP":
        peers.on_input("p", SocketFailed(), 100.0)
    elif name not in ("WANTED", "STARTING"):
        peers.on_input("p", Spawned(7), 100.0)
        if name == "BACKOFF":
            peers.on_input("p", ChildExited(1), 100.0)
        elif name == "STOPPING":
            peers.on_input("p", Replaced(), 100.0)
    assert peers.peer("p").state.name == name
    return peers


def test_the_drawing_has_every_cell() -> None:
    assert {(state, sign) for state, sign, _ in cells()} == {(s.name, g.name) for s in State for g in Sign}


@pytest.mark.parametrize(("state", "sign", "to"), cells())
def test_each_cell_of_the_table(state: str, sign: str, to: str) -> None:
    cell = TABLE.get((State[state], Sign[sign]))
    drawn = {"-": None}.get(to, to)
    assert (cell and (cell[0].name if cell[0] else "gone")) == drawn


def give(peers: Peers, state: str, sign: str) -> list[Output]:
    """Bring about `sign` from outside, as its real cause does."""
    now = 100.0
    plain: dict[str, Input] = {
        "KNOCK": Knocked(),
        "SPAWNED": Spawned(8),
        "NO_FORK": SpawnFailed(),
        "NO_SOCKET": SocketFailed(),
        "DIED": ChildExited(-9),
        "CALL": Called(),
        "REPLACE": Replaced(),
        "REMOVE": Removed(),
        "STUCK": Stuck(),
        "HURRY": Hurried(),
        "IDLED": ChildExited(ExitCode.IDLE),
        "ENDED": ChildExited(ExitCode.OK),
    }
    if sign in plain:
        return peers.on_input("p", plain[sign], now)
    if sign in ("START", "REST"):
        if state == "STOPPING" and sign == "REST":
            return peers.on_input("p", ChildExited(0), now)
        return peers.add("p", now)
    if sign == "SPENT":
        peers.peer("p").attempts = 5
        return peers.on_input("p", ChildExited(-9), now)
    if sign == "FINISHED":
        peers.on_input("p", Removed(), now)
        return peers.on_input("p", ChildExited(0), now)
    if sign == "DUE" and state == "UP":
        peers.on_input("p", Stuck(), now)
    return peers.on_time(102.0 if sign == "GRACE" else 111.0)


DEMAND = {("UP", "IDLED"), ("STOPPING", "REST"), ("WANTED", "REST")}
LATE = {"GRACE", "DUE", "START", "REST", "SPENT", "FINISHED", "DIED", "ENDED", "IDLED"}


@pytest.mark.parametrize(("state", "sign", "to"), [cell for cell in cells() if cell[2] != "-"])
def test_each_legal_cell_happens(state: str, sign: str, to: str) -> None:
    peers = in_state(state, on_demand=(state, sign) in DEMAND)
    if (state, sign) == ("WANTED", "START"):
        peers.rules = Rules()
    if (state, sign) == ("BACKOFF", "GRACE"):
        peers.peer("p").start_at = None
    give(peers, state, sign)
    assert (peers.peer("p").state.name if "p" in peers else "gone") == to


@pytest.mark.parametrize(
    ("state", "sign"), [(state, sign) for state, sign, to in cells() if to == "-" and sign not in LATE]
)
def test_an_illegal_cell_raises_and_changes_nothing(state: str, sign: str) -> None:
    peers = in_state(state)
    before = repr(peers.peer("p"))
    with pytest.raises(ValueError, match="cannot happen"):
        give(peers, state, sign)
    assert repr(peers.peer("p")) == before


@pytest.mark.parametrize("state", ["WANTED", "STARTING", "BACKOFF", "GIVEN_UP"])
def test_a_death_without_a_child_raises(state: str) -> None:
    peers = in_state(state)
    with pytest.raises(ValueError, match="cannot happen"):
        peers.on_input("p", ChildExited(1, 1000.0), 100.0)


def test_an_unknown_peer_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        Peers(Rules()).on_input("nobody", Called(), 1.0)


def test_the_drawing_shows_every_arrow_once() -> None:
    lines = drawing().splitlines()
    assert lines[0] == "stateDiagram-v2"
    assert lines[1] == "    [*] --> WANTED"
    assert "    STOPPING --> [*]: FINISHED" in lines
    assert "    UP --> BACKOFF: DIED / ENDED" in lines
    arrows = [line.partition(":")[0] for line in lines[2:]]
    assert len(arrows) == len(set(arrows))
    assert sum(line.count("/") + 1 for line in lines[2:]) == len(TABLE)
