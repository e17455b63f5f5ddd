"""Owns the promises about processes, P14 to P24."""

from __future__ import annotations

from tests.proof.promises.model import Promise, Removal

LOCK = "lonc/system/lock.py"
CHILD = "lonc/child/child.py"
CONNECTION = "lonc/child/connection.py"
FLOCK = "lonc/parent/flock.py"
LISTENERS = "lonc/parent/listeners.py"
WATCHMAN = "lonc/parent/watchman.py"
SUPERVISION = "lonc/peers/supervision.py"
LIFE = "tests/process/test_parent_life.py"
PARENT_CHILDREN = "tests/process/test_parent_children.py"
PARENT_RESTART = "tests/process/test_parent_restart.py"
OBSTACLES = "tests/process/test_start_obstacles.py"
STARTS = "tests/process/test_starts.py"
ASKED_NO_MORE = "tests/process/test_asked_no_more.py"
ENDINGS = "tests/process/test_endings.py"
RESTART = "tests/process/test_restart.py"
FAULTS = "tests/fault/test_process_faults.py"
SECOND_START = f"{LIFE}::test_a_second_start_names_the_holder_and_touches_nothing"
ORPHANS = f"{ENDINGS}::test_a_killed_parent_takes_its_children_along_within_two_seconds"
HAND_OVER = f"{RESTART}::test_a_write_after_the_hand_over_fails_and_what_was_written_before_is_answered"

_LOCKS = "        files.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)"
_PID = '        replace_file(files, path, b"%d\\n" % pid, PID_MODE, sync=False)'
_IN_PLACE = """        with open(path, "wb", buffering=0) as file:
            file.write(b"%d" % pid)
            file.write(b"\\n")"""
_FORKS_FAIL = """            self._forks_fail(error)
            self.give(name, peers.SpawnFailed())
            return"""
_SECOND_TERM = """            for name in set(self.house.children.values()):
                self.performer.give(name, peers.Hurried())
            return"""
_ANSWERS_ALL = """        self.relay.quit_waiting()
        self.clients.stop_asking()
        while self.relay.dirty:
            self._attend()
        self.clients.close_all()"""
_TABLE_FAILS = """        house.log.write(text, Severity.CRITICAL)
        house.ledger.tell_log()
        return"""

P14 = Promise(
    "P14",
    "Of many starts at once exactly one runs; the others say who has the lock, and fail without waiting for it.",
    (STARTS, LIFE, "tests/unit/test_lock.py"),
    (
        Removal("The lock of the daemon is not taken.", ((LOCK, _LOCKS, "        pass"),), (SECOND_START,)),
        Removal(
            "A second start waits for the lock.",
            ((LOCK, _LOCKS, "        files.flock(fd, fcntl.LOCK_EX)"),),
            (SECOND_START,),
        ),
        Removal(
            "A second start does not say who has the lock.",
            ((LOCK, 'raise AlreadyRunning(holder, f"process {holder} holds {path}"',
              'raise AlreadyRunning(holder, f"something holds {path}"'),),
            (SECOND_START,),
        ),
        Removal(
            "A start that is refused ends with code 0.",
            (("lonc/system/program.py", "isinstance(error, ConfigError) else ExitCode.FAILED",
              "isinstance(error, ConfigError) else ExitCode.OK"),),
            (f"{OBSTACLES}::test_something_else_in_place_of_the_lock_is_named_and_kept[fifo]",
             f"{STARTS}::test_a_missing_logs_directory"),
        ),
    ),
)  # fmt: skip

P15 = Promise(
    "P15",
    "No pid file or socket file of any kind prevents a start wrongly, gets a stranger signalled or a file "
    "overwritten.",
    (OBSTACLES, "tests/unit/test_lock_pidfile.py", "tests/unit/test_parent_listeners.py",
     "tests/process/test_stale_pid.py"),
    (
        Removal(
            "Whatever lives under the pid in the pid file is taken for a daemon.",
            ((LOCK, "    return pid if _is_named(words, short, names) else 0", "    return pid"),),
            (f"{OBSTACLES}::test_a_recycled_pid_is_no_obstacle_and_its_process_is_not_touched",),
        ),
        Removal(
            "The pid file is written through a link.",
            ((LOCK, _PID, _IN_PLACE),),
            (f"{OBSTACLES}::test_no_garbage_at_the_pid_file_is_an_obstacle[link]",),
        ),
        Removal(
            "A directory in place of the pid file is not moved aside.",
            ((LOCK, "            if stat.S_ISDIR(files.lstat(path).st_mode):",
              "            if not files.lstat(path):"),),
            (f"{OBSTACLES}::test_no_garbage_at_the_pid_file_is_an_obstacle[directory]",),
        ),
        Removal(
            "A stale socket file is not removed.",
            ((LISTENERS, "        self._files.unlink(path)\n", ""),),
            (f"{OBSTACLES}::test_stale_sockets_are_no_obstacle",),
        ),
        Removal(
            "A foreign file at the path of a socket is removed.",
            ((LISTENERS, "        if not stat.S_ISSOCK(mode):\n            raise FileExistsError",
              "        if stat.S_ISDIR(mode):\n            raise FileExistsError"),),
            (f"{OBSTACLES}::test_a_foreign_file_at_a_socket_path_is_kept_and_costs_only_its_peer[file]",),
        ),
        Removal(
            "loncctl signals whoever the pid file names.",
            (("lonc/cli/ctl/orders.py", "    holder = lock_holder(config.lock_path, SystemFiles())",
              ("    from lonc.system.lock import read_pid\n\n"
              "    holder = read_pid(SystemFiles(), config.pid_path)")),),
            ("tests/process/test_stale_pid.py::test_loncctl_signals_no_stranger_that_the_pid_file_names",),
        ),
    ),
)  # fmt: skip

P16 = Promise(
    "P16",
    "The pid file holds a whole pid or does not exist.",
    (STARTS, LIFE, "tests/unit/test_lock_pidfile.py"),
    (
        Removal(
            "The pid file is written in place.",
            ((LOCK, _PID, _IN_PLACE),),
            ("tests/unit/test_lock_pidfile.py::test_a_pid_file_that_cannot_be_written_is_the_old_one_or_none",),
        ),
        Removal(
            "The pid file outlives the daemon.",
            ((LOCK, "    if read_pid(files, path) != pid:\n        return False",
              "    if pid:\n        return False"),),
            (f"{LIFE}::test_the_end_leaves_no_socket_no_pid_file_no_child[15]",),
        ),
    ),
)  # fmt: skip

P17 = Promise(
    "P17",
    "A dead child is replaced within 1 s at first; a crash loop is throttled; at most 20 restarts a second "
    "in all.",
    (PARENT_CHILDREN, "tests/unit/test_peers_rules.py", "tests/process/test_attempts.py", FAULTS),
    (
        Removal(
            "The first restart waits as long as later ones.",
            ((SUPERVISION, "2 ** min(peer.attempts - 1, 16))", "1 << 16)"),),
            (f"{PARENT_CHILDREN}::test_a_stuck_child_is_found_and_replaced[stop]",
             f"{PARENT_CHILDREN}::test_a_killed_child_is_replaced_within_a_second_and_told",
             "tests/unit/test_peers_rules.py::test_the_first_death_is_replaced_within_a_second"),
        ),
        Removal(
            "A crash loop is not throttled.",
            ((SUPERVISION, "2 ** min(peer.attempts - 1, 16))", "0)"),),
            (f"{PARENT_CHILDREN}::test_a_crash_loop_is_throttled_with_growth",),
        ),
        Removal(
            "Any number of children may be restarted in a second.",
            ((SUPERVISION, "FORKS_PER_S = 20", "FORKS_PER_S = 10_000"),),
            (f"{PARENT_CHILDREN}::test_many_children_that_die_at_once_all_come_back_at_most_twenty_a_second",),
        ),
        Removal(
            "First starts wait for their turn as well.",
            (("lonc/peers/table.py", "    (S.WANTED, G.START): (S.STARTING, _BEGIN),",
              "    (S.WANTED, G.START): (S.BACKOFF, (Step.LISTEN, Step.LATER)),"),),
            ("tests/unit/test_peers_rules.py::test_first_starts_and_ordered_restarts_are_not_held_back",),
        ),
    ),
)  # fmt: skip

P18 = Promise(
    "P18",
    "A fork that fails is tried again, and never ends the parent.",
    (PARENT_CHILDREN, FAULTS),
    (
        Removal(
            "A fork that fails ends the parent.",
            (("lonc/parent/perform.py", _FORKS_FAIL, "            raise"),),
            (f"{PARENT_CHILDREN}::test_a_fork_that_fails_is_tried_again_and_never_ends_the_parent",),
        ),
        Removal(
            "A fork that failed is not tried again.",
            ((SUPERVISION, '        self._set(peer, "start_at", move.now + FORK_PAUSE_S)', "        pass"),),
            (f"{PARENT_CHILDREN}::test_a_fork_that_fails_is_tried_again_and_never_ends_the_parent",),
        ),
    ),
)  # fmt: skip

P19 = Promise(
    "P19",
    "A child whose loop has not turned for 30 s has its stack written to the log and is killed.",
    (PARENT_CHILDREN, FAULTS),
    (
        Removal(
            "Nobody looks at the beats of the children.",
            ((WATCHMAN, "            if age <= STUCK_S:", "            if age:"),),
            (f"{PARENT_CHILDREN}::test_a_stuck_child_is_found_and_replaced[stop]",),
        ),
        Removal(
            "A stuck child is not asked for its stack.",
            ((WATCHMAN, "        os.kill(pid, signal.SIGTRAP)", "        pass"),),
            (f"{PARENT_CHILDREN}::test_a_stuck_child_is_found_and_replaced[spin]",),
        ),
        Removal(
            "A stuck child is told of and left alone.",
            ((SUPERVISION, '            self._set(peer, "kill_at", move.now + DUMP_PAUSE_S)',
              "            pass"),),
            (f"{PARENT_CHILDREN}::test_a_stuck_child_is_found_and_replaced[stop]",),
        ),
    ),
)

P20 = Promise(
    "P20",
    "After kill -9 of the parent its children finish or fail what is in hand and are gone within 2 s; a "
    "start needs "
    "no manual step meanwhile.",
    (ENDINGS, LIFE),
    (
        Removal(
            "A child does not notice that its parent is gone.",
            ((CHILD, "        self.loop.watch(self.context.lifeline_fd, self._parent_is_gone)\n", ""),),
            (ORPHANS,),
        ),
        Removal("A child takes its time after its parent.", ((CHILD, "ORPHAN_S = 1.5", "ORPHAN_S = 30.0"),),
                (ORPHANS,)),
        Removal(
            "A child leaves at once, whatever is in hand.",
            ((CHILD, "        self.drain(ORPHAN_S)", "        self.finish(self.code)"),),
            (ORPHANS,),
        ),
        Removal(
            "A start does not wait for who is about to give the lock back.",
            ((LOCK, "_GONE_WAIT_S = 2.0", "_GONE_WAIT_S = 0.0"),),
            ("tests/unit/test_lock.py::test_what_a_dead_daemons_child_holds_for_a_moment_is_waited_for",),
        ),
        Removal(
            "A child keeps the lock of its parent, and a start does not wait for its end.",
            (("lonc/parent/perform.py", "        house.lock.close()\n", ""),
             (LOCK, "_GONE_WAIT_S = 2.0", "_GONE_WAIT_S = 0.0")),
            (f"{ENDINGS}::test_a_start_after_the_parent_was_killed_needs_no_hand[50]",),
        ),
    ),
)  # fmt: skip

P21 = Promise(
    "P21",
    "Any order and number of signals ends in a defined state; TERM wins within the stop time and 10 s.",
    (ENDINGS, LIFE, PARENT_RESTART, RESTART),
    (
        Removal(
            "A child that does not leave is waited for.",
            ((SUPERVISION, ('        self._set(peer, "kill_at", end if peer.kill_at is None else min(end, '
              'peer.kill_at))'),
              "        del end"),),
            (f"{LIFE}::test_children_that_do_not_leave_are_killed_after_the_stop_time",),
        ),
        Removal(
            "A second TERM changes nothing.",
            ((FLOCK, _SECOND_TERM, "            return"),),
            (f"{LIFE}::test_a_second_term_kills_at_once",),
        ),
        Removal(
            "Signals that come during the start are forgotten.",
            ((FLOCK, "        self.reap()  # who died during exec was told to nobody",
              "        self.house.loop.turn(0.0)\n        self._asked.clear()\n        self.reap()"),),
            (f"{LIFE}::test_signals_during_the_start_are_carried_out_after_it",),
        ),
        Removal(
            "TERM waits for the check of a restart.",
            ((FLOCK, ("        if self._give_up_at is None:\n            return False\n        if "
              "self.house.children and"),
              ("        if self._give_up_at is None or self._check is not None:\n            return False\n"
              "        if self.house.children and")),
             (FLOCK, "            self._check.kill()\n", "            pass\n"),
             (FLOCK, "while self._give_up_at is None or self.house.children:",
              "while self._give_up_at is None or self.house.children or self._check is not None:")),
            (f"{PARENT_RESTART}::test_term_wins_over_a_hanging_check_and_over_a_storm_of_restarts",),
        ),
    ),
)  # fmt: skip

P22 = Promise(
    "P22",
    "HUP or USR2 with a broken configuration or table keeps the old one serving and says so.",
    (RESTART, PARENT_RESTART, "tests/process/test_table_again.py", "tests/process/test_ctl_orders.py"),
    (
        Removal(
            "A restart does not check what it is about to execute.",
            ((FLOCK, "        self._rounds = 0\n        self._begin_check()", "        self._passed = True"),),
            (f"{RESTART}::test_hup_to_something_broken_keeps_the_old_one_serving[child/child.py]",),
        ),
        Removal(
            "A restart whose configuration breaks in the last moment keeps nothing of the old one.",
            (("lonc/parent/former.py",
              ("    return load_or_former(conf_dir, config_of(notes.settings), [Host(*words) for words in "
              "notes.hosts])"),
              "    return load_or_former(conf_dir, None, ())"),),
            (f"{RESTART}::test_what_breaks_between_check_and_exec_is_fallen_back_from",),
        ),
        Removal(
            "A table that cannot be used is taken for an empty one.",
            (("lonc/parent/tables.py", _TABLE_FAILS,
              ("        house.log.write(text, Severity.CRITICAL)\n"
              "        from lonc.config import HostTable\n\n"
              '        table = HostTable((), (), (), "")')),),
            (f"{PARENT_RESTART}::test_usr2_with_a_table_that_cannot_be_used_keeps_the_old_one",),
        ),
        Removal(
            "That a table cannot be used is not told.",
            (("lonc/parent/tables.py", _TABLE_FAILS, "        return"),),
            (f"{PARENT_RESTART}::test_usr2_with_a_table_that_cannot_be_used_keeps_the_old_one",),
        ),
        Removal(
            "loncctl restart ends with code 0 when the restart was refused.",
            (("lonc/cli/ctl/restart.py", 'return Result(False, f"restart refused,',
              'return Result(True, f"restart refused,'),),
            (("tests/process/test_ctl_orders.py::"
             "test_restart_returns_when_the_new_self_serves_and_tells_why_it_was_refused"),),
        ),
        Removal(
            "loncctl status does not show what the parent has refused.",
            (("lonc/cli/ctl/sentences.py", '    yield Finding("", Weight.NOTICE, "parent", text, remedy)',
              "    yield from ()"),),
            (("tests/process/test_ctl_orders.py::"
             "test_restart_returns_when_the_new_self_serves_and_tells_why_it_was_refused"),),
        ),
    ),
)  # fmt: skip

P23 = Promise(
    "P23",
    "Any number of HUP and USR2 leaves no descriptor, child or timer behind, and no memory.",
    (FAULTS, PARENT_RESTART),
    (
        Removal(
            "A restart does not close the notes of its former self.",
            (("lonc/parent/handover.py", "    notes = peek_notes(fd)\n    os.close(fd)\n",
              "    notes = peek_notes(fd)\n"),),
            (f"{PARENT_RESTART}::test_many_restarts_under_clients_refuse_nobody_and_leave_nothing_open",),
        ),
        Removal(
            "The socket of a host that vanished stays open.",
            ((LISTENERS, "        listener.sock.close()\n", "        listener.sock.detach()\n"),),
            (f"{PARENT_RESTART}::test_many_tables_leave_nothing_open",),
        ),
        Removal(
            "The children of the former self are not told to leave.",
            (("lonc/parent/serve.py", "    flock.performer.perform(outputs)", "    del outputs"),),
            (f"{PARENT_RESTART}::test_hup_keeps_pid_sockets_and_lock_and_replaces_every_child",),
        ),
        Removal(
            "Each restart keeps a little memory in each child.",
            (("lonc/parent/tables.py", "    before, old = house.hosts, set(house.peers.names())",
              ("    before, old = house.hosts, set(house.peers.names())\n"
              "    globals().setdefault('_KEPT', []).append(b'x' * 1_000_000)")),),
            (f"{FAULTS}::test_many_usr2_leave_nothing_behind",),
        ),
    ),
)  # fmt: skip

P24 = Promise(
    "P24",
    "HUP under load refuses no connect, answers all that a client could write, and closes a client between "
    "requests.",
    (RESTART, PARENT_RESTART, "tests/process/test_restart_load.py", ENDINGS, ASKED_NO_MORE),
    (
        Removal(
            "The listening sockets are not handed over.",
            (("lonc/parent/restart.py", "        fd = listener.sock.fileno() if listener else -1",
              "        fd = -1"),),
            (f"{PARENT_RESTART}::test_many_restarts_under_clients_refuse_nobody_and_leave_nothing_open",
             f"{PARENT_RESTART}::test_hup_keeps_pid_sockets_and_lock_and_replaces_every_child"),
        ),
        Removal(
            "What a client has written in the last moment is not read any more.",
            ((CONNECTION, ("        while not self.finishing and not self.gone and self.read():\n            "
              "pass\n"), ""),),
            (f"{ASKED_NO_MORE}::test_all_that_was_written_is_answered_and_a_later_write_fails",),
        ),
        Removal(
            "A client can go on writing to a child that reads no more.",
            ((CONNECTION, "            self.sock.shutdown(socket.SHUT_RD)", "            self.sock.fileno()"),),
            (f"{ASKED_NO_MORE}::test_all_that_was_written_is_answered_and_a_later_write_fails",),
        ),
        Removal(
            "Clients are closed when a restart is ordered.",
            ((CHILD, "            self.clients.stop_accepting()\n            self.flush.stop()",
              ("            self.clients.stop_accepting()\n            self.clients.close_all()\n            "
              "self.flush.stop()")),),
            (HAND_OVER,),
        ),
        Removal(
            "What is left when the stop time is over is closed without an answer.",
            ((CHILD, _ANSWERS_ALL, "        self.clients.close_all()"),),
            (f"{RESTART}::test_requests_longer_than_the_stop_time_are_con_lost_and_nothing_else",),
        ),
    ),
)  # fmt: skip

PROMISES = (P14, P15, P16, P17, P18, P19, P20, P21, P22, P23, P24)
