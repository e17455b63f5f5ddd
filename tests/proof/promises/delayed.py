"""Owns the promises about delayed messages, P1 to P7."""

from __future__ import annotations

from tests.proof.promises.model import Promise, Removal

FLUSH = "lonc/child/flush.py"
QUEUE = "lonc/delayed/queue.py"
MOVING = "lonc/delayed/moving.py"
FLOW = "tests/process/test_delayed_flow.py"
UNANSWERED = "tests/process/test_delayed_unanswered.py"
AFTER_THREE = f"{UNANSWERED}::test_a_message_never_answered_stops_holding_clients_back_after_three_links"
FAULTS = "tests/fault/test_delayed_faults.py"
KILLS = "tests/fault/test_delayed_kills.py"
MOMENTS = "tests/fault/test_delayed_moments.py"
WINDOW = "tests/process/test_delayed_window.py"
WRITER = "tests/unit/test_delayed_safe.py"
AGES = "tests/unit/test_delayed_ages.py"
CORPUS = "tests/unit/test_delayed_corpus.py"
SECRETS = "tests/process/test_secrets.py"
TOLD_TWICE = f"{SECRETS}::test_a_message_that_may_have_been_sent_twice_is_told_without_its_secret"

_DECIDES = "        if text and (self._config.delete_on_any_reply or not is_failure(text)):"
_SAFE_ORDER = """        facts = facts_of(self._files, self.sent_path)
        if facts is None:
            return
        if any(identity == identity_of(facts) for _, identity in noted):"""

P1 = Promise(
    "P1",
    "A delayed file is deleted only after a whole reply that is no failure; without one it stays, and what was "
    "refused is kept beside its reply.",
    (FLOW, UNANSWERED, MOMENTS, CORPUS),
    (
        Removal(
            "An empty reply counts as an answer.",
            ((FLUSH, _DECIDES, "        if self._config.delete_on_any_reply or not is_failure(text):"),),
            (f"{AFTER_THREE}[empty]",),
        ),
        Removal(
            "What was in flight on a lost link is deleted as if it had been answered.",
            ((FLUSH, "            self._unanswered(message)\n        self._in_flight.clear()",
              "            self._queue.done(message)\n        self._in_flight.clear()"),),
            (f"{UNANSWERED}::test_a_link_lost_in_the_middle_sends_the_message_again",),
        ),
        Removal(
            "A failure reply deletes the message, as the original did.",
            ((FLUSH, _DECIDES, "        if text:"),),
            (f"{FLOW}::test_failure_replies_go_to_rejected",),
        ),
        Removal(
            "Nothing lies beside a message that was refused.",
            ((MOVING, "            beside = companion(taken, self._suffix)", "            beside = None"),),
            (f"{FLOW}::test_failure_replies_go_to_rejected",),
        ),
        Removal(
            "loncDeleteOnAnyReply is not looked at.",
            ((FLUSH, "self._config.delete_on_any_reply or not is_failure", "not is_failure"),),
            (f"{FLOW}::test_delete_on_any_reply",),
        ),
    ),
)  # fmt: skip

P2 = Promise(
    "P2",
    "No kill at any moment, and no power cut, loses a message that was said to be kept.",
    (FAULTS, KILLS, WRITER, "tests/fault/test_delayed_races.py", "tests/fault/test_critical_kills.py",
     "tests/fault/test_critical_end_to_end.py"),
    (
        Removal(
            "A message is deleted when it was sent, before its reply.",
            ((FLUSH, "                    self._relay.send_delayed(reading.line, now)",
              ("                    self._relay.send_delayed(reading.line, now)\n"
              "                    self._queue.done(reading)")),),
            (f"{UNANSWERED}::test_a_link_lost_in_the_middle_sends_the_message_again",
             f"{KILLS}::test_a_killed_lond_loses_nothing"),
        ),
        Removal(
            "What a crash left half deleted is deleted, whether or not the note names it.",
            (("lonc/delayed/lock.py", _SAFE_ORDER, _SAFE_ORDER.rpartition("\n")[0] + "\n        if facts:"),),
            (f"{FAULTS}::test_what_lies_half_deleted_without_a_note_is_sent_again",),
        ),
        Removal(
            "A file that took the name of another in the moment of its deletion does not go back.",
            ((MOVING, "    put_back(files, dst, src, peer)\n    return DoneKind.REPLACED",
              "    return DoneKind.REPLACED"),),
            (f"{MOMENTS}::test_two_replacements_in_the_moment_of_deletion_are_both_sent",
             f"{FAULTS}::test_a_kill_between_a_replacement_and_its_return_loses_nothing"),
        ),
        Removal(
            "A new message gets its name before its text is on the disk.",
            (("lonc/delayed/store.py", "            self._files.fsync(fd)\n", ""),),
            (f"{WRITER}::test_what_is_said_to_be_kept_is_on_the_disk_with_its_name",),
        ),
        Removal(
            "A message is said to be kept before its name is on the disk.",
            (("lonc/delayed/store.py", "            sync_directory(self._files, self._directory)",
              "            pass"),),
            (f"{WRITER}::test_what_is_said_to_be_kept_is_on_the_disk_with_its_name",),
        ),
        Removal(
            "A message is written under its final name.",
            (("lonc/delayed/store.py", 'f".new-{name}~")', "name)"),
             ("lonc/delayed/store.py",
              "        if facts_of(self._files, path) is not None:\n            return False\n",
              "")),
            ("tests/fault/test_critical_kills.py::test_a_kill_at_any_call_loses_nothing_acknowledged",),
        ),
    ),
)  # fmt: skip

P3 = Promise(
    "P3",
    "A killed process doubles one message per peer at most, which is told; never do two processes send for "
    "one peer.",
    (FAULTS, KILLS, WINDOW, "tests/unit/test_delayed.py", TOLD_TWICE),
    (
        Removal(
            "The flush lock of a peer is not taken.",
            (("lonc/delayed/lock.py", "            self._files.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)",
              "            pass"),),
            (f"{KILLS}::test_a_lock_held_elsewhere_stops_clients_once_and_for_five_seconds",
             f"{FAULTS}::test_only_one_queue_has_the_lock_until_its_end"),
        ),
        Removal(
            "What may be double is not told.",
            (("lonc/delayed/lock.py",
              "double = tuple(name for name, identity in noted if self._lies(name, identity))", "double = ()"),),
            (TOLD_TWICE,),
        ),
        Removal(
            "What is on its way is not noted before it is sent.",
            ((QUEUE, "        self._remover.note(self._on_their_way.values())\n", ""),),
            (TOLD_TWICE,),
        ),
        Removal(
            "The directory is not synced at the end of a flush, nor ever.",
            (("lonc/delayed/remover.py", "            sync_directory(self._files, self._directory)",
              "            pass"),),
            ("tests/unit/test_delayed.py::test_deletions_are_synced_every_64_and_at_the_end",),
        ),
        Removal(
            "Only the end of a flush syncs the directory.",
            (("lonc/delayed/remover.py", "SYNC_EVERY = 64", "SYNC_EVERY = 1 << 30"),),
            ("tests/unit/test_delayed.py::test_deletions_are_synced_every_64_and_at_the_end",),
        ),
    ),
)  # fmt: skip

P4 = Promise(
    "P4",
    "Messages go out in order, one at a time with window 1, before clients that came later; only refused "
    "and three "
    "times unanswered ones are passed over, which is told.",
    (FLOW, UNANSWERED, WINDOW, "tests/unit/test_flush_turn.py", "tests/process/test_links_delayed.py"),
    (
        Removal(
            "Messages are sorted by their names as text.",
            (("lonc/delayed/survey.py", "        entries.sort()\n",
              "        entries.sort(key=lambda one: one.name)\n"),),
            (f"{FLOW}::test_a_thousand_messages_go_once_each_in_numeric_order",),
        ),
        Removal(
            "Messages are sent without waiting for the reply of the one before.",
            ((FLUSH, "len(self._in_flight) < self._config.delayed_pipeline", "len(self._in_flight) < 256"),),
            (f"{WINDOW}::test_with_window_1_one_message_is_on_its_way_and_a_kill_doubles_that_one",),
        ),
        Removal(
            "Clients are not held back when messages are seen.",
            ((FLUSH, "        self._relay.freeze()\n", ""),),
            (f"{FLOW}::test_clients_do_not_overtake",),
        ),
        Removal(
            "Clients are not held back by a young message.",
            ((FLUSH, "        self._relay.thaw(now, self._hold_from)", "        self._relay.thaw(now)"),),
            (f"{FLOW}::test_a_young_file_waits_and_keeps_its_place",),
        ),
        Removal(
            "A message that is never answered holds the others back for ever.",
            (("lonc/delayed/survey.py", "PARK_AFTER = 3", "PARK_AFTER = 1 << 30"),),
            (f"{AFTER_THREE}[empty]",),
        ),
        Removal(
            "That a message is passed over is not told.",
            ((FLUSH, "        if times == PARK_AFTER:", "        if times < 0:"),),
            (f"{AFTER_THREE}[empty]",),
        ),
    ),
)  # fmt: skip

P5 = Promise(
    "P5",
    "No file younger than 5 s is touched, whatever its dates say.",
    (FLOW, AGES),
    (
        Removal(
            "Files are sent whatever their age.",
            ((QUEUE, "young_s: float = 5.0, empty_s", "young_s: float = 0.0, empty_s"),),
            (f"{FLOW}::test_a_young_file_waits_and_keeps_its_place",),
        ),
        Removal(
            "A file is taken to be as old as the beginning of the second in its name.",
            (("lonc/delayed/watch.py", "wall - (entry.time + 1.0)", "wall - entry.time"),),
            (f"{AGES}::test_a_young_file_is_sent_when_it_is_old",),
        ),
        Removal(
            "A file dated in the future stays young until then.",
            (("lonc/delayed/watch.py", "    return 0.0 if left_s <= 0.0 else min(left_s, limit_s)",
              "    return max(left_s, 0.0)"),),
            (f"{AGES}::test_files_dated_in_the_future_wait_five_seconds_all_together",),
        ),
    ),
)  # fmt: skip

P6 = Promise(
    "P6",
    "Files are looked for while the link is up as well.",
    (FLOW,),
    (
        Removal(
            "The directory is looked at on new links alone.",
            (("lonc/child/child.py", "        self.flush.look(now)\n", ""),),
            (f"{FLOW}::test_files_are_found_while_the_link_is_up",),
        ),
    ),
)

_TAKES = """    if not _is(facts, identity):
        return DoneKind.REPLACED
    try:"""
P7 = Promise(
    "P7",
    "One bad file stops no other: it is set aside with a reason, never followed, never deleted; nobody's "
    "files and "
    "what replaced a message stay.",
    (FLOW, CORPUS, MOMENTS, FAULTS, "tests/unit/test_delayed.py"),
    (
        Removal(
            "Bad files stay in the queue.",
            ((QUEUE, ('        """Move a bad file to corrupt/; False: not possible now, it stays and is '
              'passed over."""'),
              "        return False"),),
            (f"{FLOW}::test_bad_files_go_to_corrupt_and_stop_nobody",),
        ),
        Removal(
            "A bad file is set aside without a reason.",
            ((QUEUE, 'watch.identity, watch.bad.encode() + b"\\n")', 'watch.identity, b"\\n")'),),
            (f"{FLOW}::test_bad_files_go_to_corrupt_and_stop_nobody",),
        ),
        Removal(
            "A bad file is deleted.",
            ((QUEUE, '            self._corrupt.put(entry.name, watch.identity, watch.bad.encode() + b"\\n")',
              "            self._files.unlink(self._prefix + entry.name)"),),
            (f"{CORPUS}::test_seventeen_megabytes_are_set_aside_unread",),
        ),
        Removal(
            "A bad file ends the run.",
            ((QUEUE, "            return SetAside(watch.bad)\n        return Gone(watch.bad)",
              "            return Young(now + 3600.0)\n        return Young(now + 3600.0)"),),
            (f"{FLOW}::test_bad_files_go_to_corrupt_and_stop_nobody",),
        ),
        Removal(
            "Symbolic links are followed.",
            (("lonc/system/files.py", "flags | os.O_CLOEXEC | os.O_NOFOLLOW, mode", "flags | os.O_CLOEXEC, mode"),
             ("lonc/system/files.py", "        return os.lstat(path)", "        return os.stat(path)")),
            (f"{FLOW}::test_bad_files_go_to_corrupt_and_stop_nobody",),
        ),
        Removal(
            "A name belongs to every peer that it ends with.",
            (("lonc/delayed/names.py", "name.endswith(self._ending) and self.peer_of(name) == self._peer",
              "name.endswith(self._ending)"),),
            (f"{CORPUS}::test_files_of_others_are_never_touched",),
        ),
        Removal(
            "A file that replaced a message in flight is deleted in its place.",
            ((MOVING, _TAKES, "    try:"),
             (MOVING, "    if _is(files.lstat(dst), identity):", "    if files.lstat(dst):")),
            (f"{FLOW}::test_a_file_replaced_while_in_flight_is_sent_too",),
        ),
    ),
)  # fmt: skip

PROMISES = (P1, P2, P3, P4, P5, P6, P7)
