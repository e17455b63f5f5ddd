"""The whole way: the client library, lonc, lond and its store, in real processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lonc.lonnet.answers import AuthKind, Status
from lonc.lonnet.network import Network
from tests.process.lond_site import Pair, make_pair
from tests.process.messages import empty
from tests.process.waiting import wait_until


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = make_pair({"loncGrace": "0.2", "loncDelayedScan": "1"})
    yield made
    made.lond.cleanup()
    made.lonc.cleanup()


def test_an_account_and_its_data_and_a_password_changed_while_the_server_is_away(pair: Pair) -> None:
    pair.start()
    server = pair.lond.own_id
    with Network(conf_dir=str(pair.lonc.conf_dir), keep_connections=True, retry_pause_s=0.1) as network:
        assert network.server(server).ping().value == server
        assert network.user("jane", "msu", home=server).make("internal", "first").done
        assert network.homeserver("jane", "msu").host == server
        assert network.authenticate("jane", "msu", "first")
        assert network.authenticate("jane", "msu", "wrong").kind is AuthKind.NOT_AUTHORIZED
        jane = network.user("jane", "msu")
        assert jane.put("prefs", {"colour": "röt &="}).done
        assert jane.get("prefs", ["colour"], secret=True).value == {"colour": "röt &="}
        assert jane.store("work", "r:1", {"a": "1"}).done
        assert jane.restore("work", "r:1").value.latest == {"a": "1"}
        pair.lond.stop()
        wait_until(lambda: network.subreply(b"ping", server).status is Status.LOST, 30, "the end of the link")
        assert network.authenticate("jane", "msu", "first").kind is AuthKind.UNDECIDED
        assert network.critical(b"encrypt:passwd:msu:jane:first:second", server).status is Status.DELAYED
        assert jane.put("prefs", {"size": "5"}, critical=True).status is Status.DELAYED
        pair.lond.start()
        empty(pair.lonc, 60)
        wait_until(lambda: bool(network.authenticate("jane", "msu", "second")), 30, "the new password")
        assert jane.dump("prefs").value == {"colour": "röt &=", "size": "5"}
