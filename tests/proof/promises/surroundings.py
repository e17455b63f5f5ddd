"""Owns the promises about surroundings: logs, descriptors, clocks, lines, modes and secrets, P25 to P31."""

from __future__ import annotations

from tests.proof.promises.model import Promise, Removal

LOG = "lonc/system/logs/log.py"
LINE = "lonc/system/logs/line.py"
MASKS = "lonc/system/logs/masks.py"
SHOWN = "lonc/system/shown.py"
REPORT = "lonc/child/report.py"
CHILD = "lonc/child/child.py"
CONNECTION = "lonc/child/connection.py"
TCP = "lonc/system/tcp.py"
SURROUNDINGS = "tests/fault/test_surroundings.py"
LOG_FAULTS = "tests/fault/test_log_faults.py"
CLIENTS = "tests/process/test_clients.py"
HALF_OPEN = "tests/fault/test_half_open.py"
SECRETS = "tests/process/test_secrets.py"
INJECTION = "tests/security/test_injection.py"
LISTENERS = "tests/unit/test_parent_listeners.py"
BEGIN = "tests/process/test_parent_life.py::test_a_start_makes_sockets_pid_file_children_and_says_so"
JUMPS = "tests/fault/test_clock.py"
UNIT_LOGS = "tests/unit/test_logs.py"
TIMED_OUT = f"{SECRETS}::test_timed_out_cut_off_and_garbled[stall]"
DELAYED_SECRETS = f"{SECRETS}::test_delayed_rejected_bad_and_unanswered"

_EMFILE = """                    self.loop.unwatch(self._listener)
                    self._accepting = False
                    self._pause(EMFILE_PAUSE_S)
"""
_TIMEOUT = '            self.log.write(f"Timeout: {shown_command(late.line)}", Severity.WARNING)'
_REMEMBERS = _TIMEOUT + '\n            self.report.about = late.line.decode("latin-1")'
_ABOUT = 'getattr(self, "about", "")'

P25 = Promise(
    "P25",
    "A log that cannot be written never stops traffic; lost lines are counted and told once.",
    (SURROUNDINGS, LOG_FAULTS, "tests/fault/test_flush_rotation.py", "tests/fault/test_scoreboard_faults.py"),
    (
        Removal(
            "A log that cannot be written is an error of whoever writes.",
            ((LOG, "            self._lose(reason_of(error))\n            return", "            raise"),),
            (f"{SURROUNDINGS}::test_something_else_than_a_file_at_all_three_names[directory]",),
        ),
        Removal(
            "Lost lines are not told when the log works again.",
            ((LOG, "        if self._missing:\n", "        if self._missing < 0:\n"),),
            (f"{SURROUNDINGS}::test_something_else_than_a_file_at_all_three_names[directory]",),
        ),
        Removal(
            "Each lost line is told on stderr.",
            ((LOG, "        if self._missing == 1 and (", "        if self._missing or ("),),
            (f"{LOG_FAULTS}::test_one_long_failure_is_told_once",),
        ),
        Removal(
            "Whoever opens a file waits for a FIFO in its place.",
            (("lonc/system/files.py", "    fd = files.open(path, flags | os.O_NONBLOCK, mode)",
              "    fd = files.open(path, flags, mode)"),),
            (f"{SURROUNDINGS}::test_something_else_than_a_file_at_all_three_names[fifo]",),
        ),
    ),
)  # fmt: skip

P26 = Promise(
    "P26",
    "Without a free descriptor clients that are there go on, at less than 5 % of a processor, and all is "
    "well within "
    "2 s of the end.",
    (CLIENTS,),
    (
        Removal(
            "No descriptors are kept for link, log and look.",
            ((CONNECTION, "KEPT_DESCRIPTORS = 32", "KEPT_DESCRIPTORS = 0"),),
            (f"{CLIENTS}::test_clients_leave_descriptors_for_link_and_log",),
        ),
        Removal(
            "A child without descriptors goes on trying to accept.",
            ((CONNECTION, _EMFILE, ""),),
            (f"{CLIENTS}::test_no_descriptor_left[clients hang up]",),
        ),
        Removal(
            "A child without descriptors tries again after half a minute.",
            ((CONNECTION, "EMFILE_PAUSE_S = 0.5", "EMFILE_PAUSE_S = 30.0"),),
            (f"{CLIENTS}::test_no_descriptor_left[the limit is raised]",),
        ),
    ),
)

P27 = Promise(
    "P27",
    "Jumps of the wall clock change no time limit, order or pause.",
    (JUMPS, "tests/unit/test_delayed_ages.py", UNIT_LOGS, "tests/unit/test_clock.py"),
    (
        Removal(
            "Time limits are measured with the wall clock.",
            (("lonc/system/clock.py", "        return time.monotonic()", "        return time.time()"),),
            (f"{JUMPS}::test_a_jump_ends_and_prolongs_no_limit",
             "tests/unit/test_clock.py::test_the_clocks_are_the_machines"),
        ),
        Removal(
            "Whether a warning is repeated depends on the wall clock.",
            (("lonc/system/logs/repeats.py", "        now = self._clock.monotonic()",
              "        now = self._clock.wall()"),),
            (f"{UNIT_LOGS}::test_a_warning_that_was_forgotten_is_new_and_clock_jumps_change_nothing",),
        ),
        Removal(
            "The dates of a file are compared with the wall clock at each look.",
            (("lonc/delayed/survey.py", "        if watch.identity != identity_of(facts):",
              "        if watch.identity:"),),
            ("tests/unit/test_delayed_ages.py::test_a_jump_of_the_clock_changes_no_pause",),
        ),
    ),
)  # fmt: skip

P28 = Promise(
    "P28",
    "A half-open link is found within loncLinkKeepalive, idle or with data on its way.",
    (HALF_OPEN,),
    (
        Removal(
            "Data that is not acknowledged ends no link.",
            ((TCP, "    set_option(sock, socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limit * 1000)\n", ""),),
            (f"{HALF_OPEN}::test_a_link_with_requests_in_flight_whose_line_is_cut",),
        ),
        Removal(
            "An idle link is not probed.",
            ((TCP, "    set_option(sock, socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)\n", ""),),
            (f"{HALF_OPEN}::test_an_idle_link_whose_line_is_cut",),
        ),
        Removal(
            "Nobody judges the probes of a closed window.",
            (("lonc/child/uplink.py", "self._tcp is not None and not self._tcp.peer_lives():",
              "self._tcp is not None and self._tcp.peer_lives() is None:"),),
            (f"{HALF_OPEN}::test_a_line_that_is_cut_while_the_window_is_closed",),
        ),
        Removal(
            "A peer that reads nothing for a while is taken for a dead one.",
            (("lonc/child/tcp.py", "        if closed != self._lifted:", "        if closed is None:"),),
            (f"{HALF_OPEN}::test_a_peer_that_lives_but_does_not_read_for_long_keeps_its_link",),
        ),
    ),
)  # fmt: skip

P29 = Promise(
    "P29",
    "Files and directories are made with their final modes; what others can enter is kept and told.",
    (BEGIN, LISTENERS, "tests/unit/test_delayed_store.py", "tests/unit/test_delayed.py",
     UNIT_LOGS, "tests/unit/test_lock_pidfile.py", "tests/security/test_modes.py"),
    (
        Removal("The log can be read by all.", ((LOG, "LOG_MODE = 0o640", "LOG_MODE = 0o644"),),
                (f"{UNIT_LOGS}::test_the_log_is_made_with_its_final_mode",)),
        Removal("The permanent log can be read by all.",
                (("lonc/system/logs/permlog.py", "PERM_MODE = 0o640", "PERM_MODE = 0o644"),),
                (f"{UNIT_LOGS}::test_records_have_the_form_that_readers_expect",)),
        Removal("The pid file can be read by its owner alone.",
                (("lonc/system/lock.py", "PID_MODE = 0o644", "PID_MODE = 0o600"),),
                (BEGIN,)),
        Removal("Sockets have the mode that the process mask leaves.",
                (("lonc/parent/listeners.py", "SOCKET_UMASK = 0o117", "SOCKET_UMASK = 0o022"),),
                (BEGIN,)),
        Removal("Delayed messages can be read by all.",
                (("lonc/delayed/store.py", "os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)",
                  "os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)"),),
                ("tests/unit/test_delayed_store.py::test_a_message_is_one_line_under_a_standard_name",)),
        Removal("A delayed directory that is made can be entered by all.",
                (("lonc/delayed/lock.py", "self._files.mkdir(self._directory, 0o700)",
                  "self._files.mkdir(self._directory, 0o755)"),),
                ("tests/unit/test_delayed.py::test_a_missing_directory_is_no_problem_and_is_made_for_the_lock",)),
        Removal("A socket directory that is made can be entered by all.",
                (("lonc/parent/listeners.py", "            os.makedirs(path, 0o700)",
                  "            os.makedirs(path, 0o755)"),),
                (f"{LISTENERS}::test_a_missing_directory_is_made_closed_to_others",)),
        Removal("A socket directory that others can enter is not told.",
                (("lonc/parent/listeners.py", "        if mode & stat.S_IXOTH:", "        if mode < 0:"),),
                (f"{LISTENERS}::test_an_open_directory_is_kept_and_told",)),
        Removal("A delayed directory that others can enter is not told.",
                (("lonc/delayed/listing.py", "        if mode & 0o007 and mode != self._told_mode:",
                  "        if mode < 0:"),),
                ("tests/unit/test_delayed.py::test_a_directory_that_others_can_enter_is_kept_and_told",)),
    ),
)  # fmt: skip

P30 = Promise(
    "P30",
    "But for the command word no text of a request, reply or key is shown anywhere; passwords stay masked.",
    (SECRETS, "tests/process/test_encrypted.py", "tests/process/test_ctl_metrics.py", UNIT_LOGS,
     "tests/process/test_debug.py"),
    (
        Removal("Requests stand whole in the log.",
                ((MASKS, "    return words.command_word(line, length)", '    return line.decode("latin-1")'),),
                (DELAYED_SECRETS,)),
        Removal("Replies stand whole in the log.",
                ((MASKS, "    found = _WORD.match(reply)\n",
                  '    return reply.decode("latin-1")\n    found = _WORD.match(reply)\n'),),
                (f"{SECRETS}::test_a_peer_that_says_it_back",)),
        Removal("The title names the request that timed out.",
                ((CHILD, _TIMEOUT, _REMEMBERS),
                 (REPORT, "Retries remaining: {left} (insecure)",
                  "Retries remaining: {left} {getattr(self, 'about', '')}")),
                (TIMED_OUT,)),
        Removal("The status file names the request that timed out.",
                ((CHILD, _TIMEOUT, _REMEMBERS),
                 (REPORT, "        return [connection_state(uplink) for uplink in up or [links.shown]]",
                  f"        return [connection_state(uplink) + {_ABOUT} for uplink in up or [links.shown]]")),
                (TIMED_OUT,)),
        Removal("The scoreboard names the request that timed out.",
                ((CHILD, _TIMEOUT, _REMEMBERS),
                 (REPORT, "            why=child.outage.last_failure,", f"            why={_ABOUT},")),
                (TIMED_OUT,)),
        Removal("Commands with passwords stand whole in the permanent log.",
                ((MASKS, "    if fields[0].strip().lower() in _PASSWORD_COMMANDS:", "    if not fields:"),),
                (DELAYED_SECRETS,)),
        Removal("Encrypted commands stand whole in the permanent log.",
                ((MASKS, "    if line.startswith(words.ENCRYPT):\n        found",
                  "    if not line:\n        found"),),
                (DELAYED_SECRETS,)),
        Removal("The names of delayed files, which hold the beginning of a command, stand whole in the log.",
                (("lonc/child/flush.py", '    return _NAME.sub(r"\\1.*.", text)', "    return text"),),
                (DELAYED_SECRETS,)),
        Removal("The text of an unexpected error stands in the log.",
                (("lonc/system/forking.py", "    kind = type(error).__name__", "    kind = repr(error)"),),
                ("tests/process/test_parent_children.py::test_a_crash_is_one_line_and_quotes_nothing",)),
        Removal("The key of a link stands in the log.",
                (("lonc/wire/link.py", 'Note("Secure connection initialized")',
                  'Note(f"Secure connection initialized {session_key(talk.peer, talk.own_id, key).hex()}")'),
                 ("lonc/wire/link.py", '        talk.build_key = b""  # not needed',
                  '        key, talk.build_key = talk.build_key, b""  # not needed')),
                ("tests/process/test_encrypted.py::test_neither_build_key_nor_key_is_shown_anywhere",)),
        Removal("What the tools show as the last warning names the last request.",
                (("lonc/relay/relay.py", "            client, asked, number, request = in_flight.popleft()",
                  ("            client, asked, number, request = in_flight.popleft()\n"
                  "            self.seen = request")),
                 (REPORT, "            warning=child.log.warning,\n            warned=child.log.warned,",
                  ('            warning=getattr(child.relay, "seen", b"").decode("latin-1"),\n'
                  "            warned=child.context.clock.wall(),"))),
                (("tests/process/test_ctl_metrics.py::"
                  "test_of_a_running_lonc_the_requests_are_counted_and_none_is_shown"),)),
    ),
)  # fmt: skip

P31 = Promise(
    "P31",
    "A line of the log is one line; control characters, bytes that are no UTF-8 and markup from outside are "
    "escaped.",
    ("tests/unit/test_shown.py", UNIT_LOGS, INJECTION),
    (
        Removal("Markup passes into the log.",
                ((LINE, '    shown = shown.replace("<", "&lt;").replace(">", "&gt;")\n', ""),),
                (f"{INJECTION}::test_nothing_that_anybody_reads_is_obeyed",
                 f"{UNIT_LOGS}::test_a_message_is_escaped_whoever_wrote_it")),
        Removal("The ampersand passes into the log.",
                ((LINE, '        shown = _AMPERSAND.sub("&amp;", shown)\n', ""),),
                (f"{UNIT_LOGS}::test_a_message_is_escaped_whoever_wrote_it",)),
        Removal("Control characters pass into the log.",
                ((SHOWN, "    if text.isprintable() and len(text) <= limit:\n        return text\n",
                  "    return text\n"),),
                (f"{UNIT_LOGS}::test_a_message_is_escaped_whoever_wrote_it",)),
        Removal("A newline passes into the log.",
                ((SHOWN, "    if char.isprintable():\n        return char\n",
                  '    if char.isprintable() or char == "\\n":\n        return char\n'),),
                ("tests/unit/test_shown.py::test_clean",)),
        Removal("The word of a severity passes into the log from outside.",
                ((LINE, "        shown = shown.replace(word, broken)", "        pass"),),
                (f"{UNIT_LOGS}::test_a_message_is_escaped_whoever_wrote_it",)),
    ),
)  # fmt: skip

PROMISES = (P25, P26, P27, P28, P29, P30, P31)
