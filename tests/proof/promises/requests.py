"""Owns the promises about requests and clients, P8 to P13."""

from __future__ import annotations

from tests.proof.promises.model import Promise, Removal

RELAY = "lonc/relay/relay.py"
CLIENT = "lonc/relay/client.py"
DISPATCH = "lonc/relay/dispatch.py"
CONNECTION = "lonc/child/connection.py"
UPLINK = "lonc/child/uplink.py"
LIMITS = "tests/process/test_limits.py"
TIME_LIMITS = "tests/process/test_time_limits.py"
CLIENTS = "tests/process/test_clients.py"
DEAF = "tests/process/test_deaf.py"
MISDEEDS = "tests/fault/test_peer_misdeeds.py"
LEAVERS = f"{CLIENTS}::test_clients_that_hang_up_at_any_moment_cost_nobody_a_reply"
SLOW_READER = f"{DEAF}::test_a_client_that_never_reads_short_replies[echo:x\\n]"

_CLOSES = '            self.links.close_lane(lane, "timeout", "a request was not answered in time")'
_GOES_ON = """            client, _, number, _ = lane.in_flight.popleft()
            self.relay._lose(client, number)
            lane.head_since = self.loop.now"""
_IN_STEP = (
    "        if len(lines) > lane.answerable"
    " or (lines and not self._relay.replies(lane, lines, self._loop.now)):"
)
_TAKEN_OUT = """        client.forget()
        for lane in self.lanes:
            lane.in_flight = deque(one for one in lane.in_flight if one[0] is not client)"""

P8 = Promise(
    "P8",
    "A link on which a request timed out or that got out of step is closed; nobody gets another one's reply.",
    (TIME_LIMITS, MISDEEDS, LEAVERS, "tests/process/test_links_tokens.py", "tests/process/test_load.py",
     "tests/unit/test_relay.py"),
    (
        Removal(
            "A link goes on after a request on it has timed out.",
            (("lonc/child/child.py", _CLOSES, _GOES_ON),),
            (f"{TIME_LIMITS}::test_an_unanswered_request_costs_its_link_and_all_that_is_in_flight",),
        ),
        Removal(
            "A reply that nobody asked for is passed over.",
            ((UPLINK, _IN_STEP,
              ("        if lines and not self._relay.replies(lane, lines[: len(lane.in_flight)], "
              "self._loop.now):")),),
            (f"{MISDEEDS}::test_a_line_on_an_idle_link_ends_it[a line nobody asked for]",),
        ),
        Removal(
            "The requests of a client that has gone are taken out of the queue of those in flight.",
            ((RELAY, "        client.forget()", _TAKEN_OUT),),
            (LEAVERS,),
        ),
        Removal(
            "What was half sent on a lost link is sent again.",
            (("lonc/wire/outbox.py", "        if self._begun:\n            del lines[0]\n", ""),),
            ("tests/unit/test_relay.py::test_what_was_begun_on_a_lost_link_is_never_sent_again",),
        ),
    ),
)  # fmt: skip

P9 = Promise(
    "P9",
    "Each request gets exactly one line, in its client's order, con_lost at the latest when its time is over.",
    (TIME_LIMITS, LIMITS, MISDEEDS, "tests/process/test_outage.py", "tests/process/test_links.py",
     "tests/unit/test_relay.py"),
    (
        Removal(
            "What was in flight on a lost link is never answered.",
            ((RELAY, ("            if client is not self.delayed_client:\n                self._lose(client, "
              "number)"),
              "            pass"),),
            (f"{MISDEEDS}::test_a_reply_gone_wrong_costs_con_lost_and_the_link[close]",),
        ),
        Removal(
            "A request has no time limit.",
            ((RELAY, "        return lane.head_since + (", "        return deadlines.NEVER + ("),),
            (f"{TIME_LIMITS}::test_a_reply_that_stops_in_the_middle_is_never_shown",),
        ),
        Removal(
            "Who waits for a link has no time limit.",
            ((RELAY, "        self._give_up_old(now)\n", ""),),
            (f"{TIME_LIMITS}::test_twice_the_limit_holds_for_who_waits_for_a_link",),
        ),
        Removal(
            "An answer that is known early goes out early.",
            ((CLIENT, "        if number > self.turn:\n", "        if number < 0:\n"),),
            (f"{LIMITS}::test_what_was_asked_before_the_long_line_is_answered_before_the_refusal",),
        ),
        Removal(
            "After the grace requests go on waiting for a link.",
            ((RELAY, "            self.grace_until = None\n            self.quit_waiting()", "            pass"),),
            ("tests/process/test_smoke.py::test_no_peer_means_con_lost_after_the_grace",),
        ),
    ),
)  # fmt: skip

P10 = Promise(
    "P10",
    "A client that vanishes costs the others nothing; one that half-closes gets its replies.",
    (CLIENTS,),
    (
        Removal(
            "The end of what a client says ends the client.",
            ((CONNECTION, "        if self.turn == self.issued and not self.box:  # nothing is owed to it",
              "        if True:"),),
            (f"{CLIENTS}::test_a_half_closed_client_has_all_its_replies_and_then_the_end",),
        ),
        Removal(
            "A write to a client that has gone is a deadly signal.",
            ((CONNECTION, "_SEND = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL", "_SEND = socket.MSG_DONTWAIT"),
             ("lonc/system/signals.py", "IGNORED = (signal.SIGPIPE, signal.SIGXFSZ)",
              "IGNORED = (signal.SIGXFSZ,)")),
            (LEAVERS,),
        ),
    ),
)  # fmt: skip

P11 = Promise(
    "P11",
    "A client that does not read, or hardly writes, delays nobody and takes bounded memory.",
    (DEAF, CLIENTS),
    (
        Removal(
            "A client that does not read its replies is read on.",
            ((DISPATCH,
              "            or (client.box.stuck and client.box.size > self._client_buffer_bytes // 4)\n", ""),),
            ("tests/unit/test_relay_limits.py::test_a_client_that_does_not_read_is_read_on_up_to_a_quarter_of_its_buffer",
             SLOW_READER),
        ),
        Removal(
            "Replies pile up for a client without a bound.",
            ((CONNECTION, "        if box.held > self.clients.buffer_bytes:", "        if box.held < 0:"),),
            (f"{DEAF}::test_a_client_that_lets_more_pile_up_than_it_may_is_closed",),
        ),
        Removal(
            "Requests pile up for a peer that does not take them without a bound.",
            ((DISPATCH,
              ("            or client.queued > CLIENT_QUEUE_BYTES\n"
              "            or (client.waiting > CLIENT_QUEUE_REQUESTS and client.queued > 0)\n"), ""),),
            (f"{DEAF}::test_requests_that_wait_for_a_stalled_peer[echo:x\\n]",),
        ),
        Removal(
            "A reply is written to its client however long that takes.",
            ((CONNECTION, "_SEND = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL", "_SEND = socket.MSG_NOSIGNAL"),),
            (SLOW_READER,),
        ),
        Removal(
            "A client that says nothing is waited for.",
            ((CONNECTION, "_RECV = socket.MSG_DONTWAIT", "_RECV = 0"),),
            (f"{CLIENTS}::test_a_thousand_idle_and_a_hundred_slow_clients_change_nothing",),
        ),
    ),
)  # fmt: skip

P12 = Promise(
    "P12",
    "A line over the limit is refused for that client alone, which is then closed; memory stays bounded.",
    (LIMITS,),
    (
        Removal(
            "A line may have any length.",
            ((RELAY, "        return length(line) > self._max_line_bytes and not is_encrypted(line)",
              "        return False"),
             (CLIENT, "LineBuffer(max_line_bytes + len(ENCRYPT))", "LineBuffer(1 << 40)")),
            (f"{LIMITS}::test_one_byte_more_is_refused_for_that_client_alone[echo:]",),
        ),
        Removal(
            "A line without an end is swallowed in silence.",
            ((RELAY, "            if not client.buffer.overflow:\n                return", "            return"),),
            (f"{LIMITS}::test_a_line_without_end_is_refused_before_its_newline[16777225]",),
        ),
        Removal(
            "A client whose line was too long is asked on.",
            ((RELAY, "        client.finishing = True\n        self.counters.rejected += 1",
              "        self.counters.rejected += 1"),),
            (f"{LIMITS}::test_one_byte_more_is_refused_for_that_client_alone[echo:]",),
        ),
        Removal(
            "A line is held whole before its length is looked at.",
            ((CLIENT, "LineBuffer(max_line_bytes + len(ENCRYPT))", "LineBuffer(1 << 40)"),),
            (f"{LIMITS}::test_a_line_without_end_is_refused_before_its_newline[16777225]",),
        ),
    ),
)  # fmt: skip

P13 = Promise(
    "P13",
    "Any byte but newline passes unchanged both ways.",
    ("tests/process/test_every_byte.py", LIMITS, "tests/process/test_load.py"),
    (
        Removal(
            "A carriage return before the newline of a request is dropped.",
            ((RELAY, "            lane.box.fresh.append(data)\n",
              '            lane.box.fresh.append(data.replace(b"\\r\\n", b"\\n"))\n'),),
            ("tests/process/test_every_byte.py::test_every_byte_passes_both_ways_at_every_place",),
        ),
        Removal(
            "Blanks at the end of a reply are dropped.",
            ((RELAY, '                client.box.fresh.append(line + b"\\n")',
              '                client.box.fresh.append(line.rstrip() + b"\\n")'),),
            ("tests/process/test_every_byte.py::test_every_byte_passes_both_ways_at_every_place",),
        ),
        Removal(
            "A request ends at its first NUL.",
            ((RELAY, "                self._enqueue(client, now, number, data[:-1])",
              '                self._enqueue(client, now, number, data[:-1].partition(b"\\0")[0])'),
             (RELAY, "            lane.box.fresh.append(data)\n",
              '            lane.box.fresh.append(data[:-1].partition(b"\\0")[0] + b"\\n")\n')),
            ("tests/process/test_smoke.py::test_start_ask_stop",),
        ),
    ),
)  # fmt: skip

PROMISES = (P8, P9, P10, P11, P12, P13)
