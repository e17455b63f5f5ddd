"""Owns those lines of the threats that a test can show, T1 to T9."""

from __future__ import annotations

from tests.proof.promises.model import Promise, Removal

CONNECTION = "lonc/child/connection.py"
CLIENTS = "tests/process/test_clients.py"
HAND_OVER = "tests/unit/test_parent_handover.py"
SURROUNDINGS = "tests/fault/test_surroundings.py"
SECURITY = "tests/security"
LIMITS = "tests/process/test_limits.py"
DAEMON = "tests/unit/test_daemon_cli.py"
HOSTS = "tests/unit/test_config_hosts.py"

T1 = Promise(
    "T1",
    "Only the daemon's user, root and those of loncAllowUsers may use the sockets; others are refused and told.",
    (CLIENTS, f"{SECURITY}/test_users.py"),
    (
        Removal("Who asks is not looked at.",
                ((CONNECTION, "        if uid in self._allowed_uids:", "        if uid >= 0:"),),
                (f"{CLIENTS}::test_who_may_ask_is_decided_by_the_kernels_word",)),
        Removal("A client that is refused is not told of.",
                ((CONNECTION, '        self.tell(f"Refused a client:', '        str(f"Refused a client:'),),
                (f"{CLIENTS}::test_who_may_ask_is_decided_by_the_kernels_word",)),
    ),
)  # fmt: skip

T2 = Promise(
    "T2",
    "What is to be encrypted lies sealed in the delayed directory, in a key only its owner can read.",
    ("tests/process/test_lonnet_critical.py", "tests/unit/test_sealing.py", "tests/unit/test_delayed_store.py"),
    (
        Removal("What is to be encrypted is kept in clear.",
                (("lonc/delayed/store.py",
                  "line = self._keys.seal(command, peer) if command.startswith(ENCRYPT) else command",
                  "line = command"),),
                ("tests/process/test_lonnet_critical.py::test_a_sealed_message_waits_unreadable_and_is_delivered",)),
        Removal("A message sealed for one peer opens for any other.",
                (("lonc/delayed/sealing.py", "base64.b64encode(_encrypt(key.secret, line, peer))",
                  'base64.b64encode(_encrypt(key.secret, line, ""))'),
                 ("lonc/delayed/sealing.py", "base64.b64decode(found[2], validate=True), peer)",
                  'base64.b64decode(found[2], validate=True), "")')),
                ("tests/unit/test_sealing.py::test_what_was_sealed_for_one_peer_opens_for_no_other",)),
    ),
)  # fmt: skip

T3 = Promise(
    "T3",
    "That the key of a link hides nothing from whoever listens is said plainly; a tunnel hides all of it.",
    ("tests/process/test_ctl_doctor.py", f"{SECURITY}/test_tunnel.py"),
    (
        Removal("loncctl doctor says nothing of what the key is worth.",
                (("lonc/cli/ctl/doctor/verdicts.py",
                  ('    text = f"{count} of its {KEY_CHARS} characters are new for '
                  'each connection; {plainly}"'),
                  '    text = f"{count} of its {KEY_CHARS} characters are new for each connection"'),),
                ("tests/process/test_ctl_doctor.py::test_a_healthy_peer",)),
        Removal("A peer is dialed at its own address, though loncVia names the beginning of a tunnel.",
                (("lonc/child/uplink.py", "        self._via = via_of(config, host.id)",
                "        self._via = None"),),
                (f"{SECURITY}/test_tunnel.py::test_through_a_tunnel_a_listener_hears_nothing",)),
    ),
)  # fmt: skip

T4 = Promise(
    "T4",
    "A forged hand-over is not believed: notes, lock and sockets are checked each by itself.",
    (HAND_OVER, f"{SECURITY}/test_forged_restart.py", "tests/unit/test_lock.py",
     "tests/unit/test_parent_listeners.py"),
    (
        Removal("Notes of another process are believed.",
                (("lonc/parent/handover.py", "    if notes.pid != os.getpid():", "    if notes.pid < 0:"),),
                (f"{HAND_OVER}::test_notes_of_another_process_are_refused",)),
        Removal("A descriptor is taken for the lock without being held.",
                (("lonc/system/lock.py",
                  "        if not _is_still(path, fd, files) or _try_lock(path, other, files):",
                  "        if not _is_still(path, fd, files):"),),
                ("tests/unit/test_lock.py::test_a_made_up_descriptor_is_not_adopted",)),
        Removal("Any descriptor is taken for a socket of the former self.",
                (("lonc/parent/listeners.py", "            fits = self._fits(fd, path, device, inode)",
                  "            fits = True"),),
                ("tests/unit/test_parent_listeners.py::test_a_descriptor_that_is_not_the_socket_is_closed_and_refused",)),
        Removal("Notes that are not sealed are believed.",
                (("lonc/system/sealed.py", "    if fcntl.fcntl(fd, fcntl.F_GET_SEALS) != _SEALS:",
                  "    if fcntl.fcntl(fd, fcntl.F_GET_SEALS) < 0:"),),
                (f"{HAND_OVER}::test_a_descriptor_that_is_none_a_file_a_pipe_or_unsealed_is_refused",)),
    ),
)  # fmt: skip

T5 = Promise(
    "T5",
    "Links in place of logs, sockets, locks and delayed files are never followed; another user's files not taken.",
    (SURROUNDINGS, f"{SECURITY}/test_links.py", "tests/unit/test_lock.py", "tests/unit/test_status.py",
     "tests/unit/test_scoreboard.py"),
    (
        Removal("Files are opened through links.",
                (("lonc/system/files.py", "flags | os.O_CLOEXEC | os.O_NOFOLLOW, mode",
                  "flags | os.O_CLOEXEC, mode"),),
                (f"{SURROUNDINGS}::test_something_else_than_a_file_at_all_three_names[link]",)),
        Removal("A lock file of another user is taken.",
                (("lonc/system/lock.py", "    if facts.st_uid == os.geteuid() and facts.st_nlink <= 1:",
                  "    if facts.st_nlink <= 1:"),),
                ("tests/unit/test_lock.py::test_another_users_lock_file_is_refused",)),
        Removal("A scoreboard of another user is taken over.",
                (("lonc/system/scoreboard/board.py", "            if facts.st_uid != os.geteuid():",
                  "            if facts.st_uid < 0:"),),
                ("tests/unit/test_scoreboard.py::test_a_strangers_board_is_not_adopted",)),
        Removal("Another user's file is written to under a second name of it.",
                (("lonc/system/files.py", "    if facts.st_nlink > 1 and facts.st_uid != os.geteuid():",
                  "    if facts.st_nlink < 0:"),
                 ("lonc/system/status.py", "            if facts.st_nlink > 1:  # whatever the other name is",
                  "            if facts.st_nlink < 0:  # whatever the other name is")),
                (f"{SECURITY}/test_links.py::test_a_file_with_a_second_name_is_refused_and_told",)),
    ),
)  # fmt: skip

T6 = Promise(
    "T6",
    "Clients are limited in number, one user's to half of that, and in what waits of each.",
    (CLIENTS, f"{SECURITY}/test_users.py", "tests/process/test_deaf.py"),
    (
        Removal("Any number of clients is taken in.",
                ((CONNECTION, "        self._max_clients = min(max_clients, _room_for_clients())",
                  "        self._max_clients = _room_for_clients()"),),
                (f"{CLIENTS}::test_more_clients_than_allowed_wait_and_are_served",)),
        Removal("One user who is allowed may have all the places.",
                ((CONNECTION, "self._places[uid] < max(1, self._max_clients // 2):",
                "self._places[uid] >= 0:"),),
                ((f"{SECURITY}/test_users.py::"
                 "test_a_user_who_is_allowed_takes_no_more_than_half_of_the_places"),)),
    ),
)  # fmt: skip

T7 = Promise(
    "T7",
    "A malicious peer costs no memory and no time: caps for replies and frames, one deadline for each request.",
    (LIMITS, f"{SECURITY}/test_malice.py", "tests/process/test_time_limits.py",
    "tests/fault/test_peer_misdeeds.py",
     "tests/unit/test_cipher.py"),
    (
        Removal("A reply may have any length.",
                (("lonc/wire/link.py", "        self._buffer = LineBuffer(self._reply_limit)",
                  "        self._buffer = LineBuffer(1 << 40)"),),
                (f"{LIMITS}::test_a_reply_without_measure_takes_no_memory",)),
        Removal("Each byte of a reply begins its time limit anew.",
                (("lonc/child/uplink.py", "            self.bytes_in += len(data)\n",
                  "            self.bytes_in += len(data)\n            self.lane.head_since = self._loop.now\n"),),
                ("tests/process/test_time_limits.py::test_a_reply_that_drips_has_one_limit_not_one_per_byte",)),
        Removal("The length in a frame is believed.",
                (("lonc/wire/cipher.py", "        if len(blocks) % BLOCK_BYTES or size > len(blocks):",
                  "        if len(blocks) % BLOCK_BYTES:"),),
                ("tests/unit/test_cipher.py",)),
        Removal("An answer of the dialogue may have any length.",
                (("lonc/wire/link.py", ("        self._deadline: float | None = None\n"
                  "        self._buffer = LineBuffer(ANSWER_BYTES)"),
                  "        self._deadline: float | None = None\n        self._buffer = LineBuffer(1 << 40)"),),
                ("tests/unit/test_link_dialogue.py", ("tests/fault/test_peer_misdeeds.py::"
                 "test_an_answer_of_the_dialogue_that_cannot_be_used"))),
    ),
)  # fmt: skip

T8 = Promise(
    "T8",
    "Ids of the table, which become names of files, follow a strict rule.",
    (HOSTS, f"{SECURITY}/test_malice.py"),
    (
        Removal("Any word may be the id of a host.",
                (("lonc/config/hosts.py", "    if not valid_id(host_id):", "    if not host_id:"),),
                (f"{SECURITY}/test_malice.py::test_ids_that_are_no_file_names_cost_only_themselves",
                 f"{HOSTS}::test_malformed_lines_are_told_and_cost_only_themselves")),
    ),
)  # fmt: skip

T9 = Promise(
    "T9",
    "No process of the daemon writes a core or can be read by others of its user.",
    ("tests/process/test_secrets.py", DAEMON, f"{SECURITY}/test_process.py"),
    (
        Removal("Cores may be written.",
                (("lonc/system/daemonize.py", "        prevent_core=True,", "        prevent_core=False,"),),
                ("tests/process/test_secrets.py::test_no_core_can_be_written",)),
        Removal("The memory of the daemon can be read by its user.",
                (("lonc/system/daemonize.py", "        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)",
                  "        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)"),),
                (f"{DAEMON}::test_a_start_makes_a_daemon_and_tells_the_truth",)),
        Removal("After a restart the memory of the daemon can be read by its user.",
                (("lonc/cli/daemon.py", "    forbid_dumps()\n", ""),),
                (f"{DAEMON}::test_resume_keeps_descriptors_mask_and_session",)),
    ),
)  # fmt: skip

PROMISES = (T1, T2, T3, T4, T5, T6, T7, T8, T9)
