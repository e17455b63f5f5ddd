"""Owns the table of the fault matrix: for each row the tests that automate it, and the sizes of long runs.

A test is named by its file (all of it) or by `file::function`; the first named meet the words of the row most
directly. `sizes` are environment variables for the proof, which tries more than a daily run does, and whose rounds
add up.
"""

from __future__ import annotations

from dataclasses import dataclass, field

ROOT = "root"
NAMESPACES = "root and network namespaces"
STRACE = "strace that may trace"
FAKETIME = "libfaketime"
COMPILER = "a C compiler"
BUFFERS = "tests/fault/test_zombies_and_buffers.py::"
MISDEEDS = "tests/fault/test_peer_misdeeds.py::"
PROCESSES = "tests/fault/test_process_faults.py::"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the fault matrix.

    needs: what a part of its tests needs beside an ordinary user, and without which it is skipped; "" for nothing.
    seconds: about how long the tests take with `sizes`.
    """

    number: int
    fault: str
    tests: tuple[str, ...]
    needs: str = ""
    sizes: dict[str, str] = field(default_factory=dict)
    seconds: int = 30


ROWS = (
    Row(
        1,
        "kill -9 of child, parent and lond at random instants and at every system call of a flush",
        (
            "tests/fault/test_delayed_kills.py",
            "tests/fault/test_strace_kills.py",
            "tests/fault/test_strace_parent_kills.py",
            "tests/fault/test_start_calls.py",
            "tests/fault/test_delayed_faults.py",
            "tests/fault/test_delayed_races.py",
            "tests/fault/test_critical_kills.py",
            "tests/process/test_endings.py::test_a_killed_parent_takes_its_children_along_within_two_seconds",
            "tests/process/test_lond_kills.py",
        ),
        needs=STRACE,
        sizes={"LONC_TEST_KILLS": "200", "LONC_TEST_PARENT_KILLS": "20", "LONC_TEST_STRACE": "15"},
        seconds=400,
    ),
    Row(
        2,
        "lond restarts; reset instead of an orderly end; a reset at each step of the dialogue",
        (
            f"{MISDEEDS}test_every_step_of_the_dialogue_cut_twice",
            "tests/fault/test_bad_line.py",
            f"{MISDEEDS}test_a_reply_gone_wrong_costs_con_lost_and_the_link",
            f"{MISDEEDS}test_a_peer_that_leaves_after_its_reply_costs_nobody_anything",
            "tests/fault/test_delayed_kills.py::test_a_killed_lond_loses_nothing",
            "tests/process/test_outage.py",
            "tests/process/test_links_loss.py",
            "tests/process/test_links_tokens.py",
        ),
        sizes={"LONC_TEST_SEEDS": "20"},
        seconds=100,
    ),
    Row(
        3,
        "a half-open connection, idle and with data in flight",
        ("tests/fault/test_half_open.py", "tests/fault/test_bad_line.py"),
        sizes={"LONC_TEST_SEEDS": "20"},
        seconds=40,
    ),
    Row(
        4,
        "lond stalls before and within a reply; answers late, twice, merged, empty, a line too many or too early",
        (
            f"{MISDEEDS}test_a_reply_gone_wrong_costs_con_lost_and_the_link",
            f"{MISDEEDS}test_a_slow_or_strange_reply_is_a_reply",
            f"{MISDEEDS}test_a_line_on_an_idle_link_ends_it",
            f"{MISDEEDS}test_a_second_copy_that_comes_later_ends_the_link",
            f"{MISDEEDS}test_every_step_of_the_dialogue_has_its_time_limit",
            "tests/process/test_time_limits.py",
            "tests/process/test_delayed_unanswered.py",
        ),
        seconds=60,
    ),
    Row(
        5,
        "segments of one byte both ways, tiny buffers",
        (
            f"{MISDEEDS}test_one_byte_segments_both_ways_from_the_first_byte",
            f"{BUFFERS}test_tiny_buffers_at_both_ends",
            "tests/fault/test_bad_line.py",
            f"{MISDEEDS}test_long_lines_in_small_segments",
            "tests/process/test_load.py::test_requests_in_writes_of_one_byte",
            "tests/process/test_load.py::test_both_sides_in_single_bytes_and_encrypted",
        ),
        seconds=30,
    ),
    Row(
        6,
        "no room on the disk for log, permanent log, status, scoreboard, rejected/",
        (
            "tests/fault/test_surroundings.py",
            "tests/fault/test_log_faults.py",
            "tests/fault/test_scoreboard_faults.py",
            "tests/fault/test_strace_child.py::test_no_room_for_logs_and_what_was_refused",
            "tests/fault/test_strace_errors.py",
            "tests/fault/test_delayed_faults.py::test_a_full_disk_stops_no_message",
            "tests/fault/test_delayed_faults.py::test_any_failing_call_costs_no_message_and_no_double",
            "tests/unit/test_status.py::test_a_full_disk_raises_nothing_at_any_call",
            "tests/fault/test_store_surroundings.py",
        ),
        needs=f"{ROOT}; {STRACE}",
        sizes={"LONC_TEST_STRACE": "20"},
        seconds=200,
    ),
    Row(
        7,
        "no file descriptor is left, in the process or in the system",
        (
            "tests/process/test_clients.py::test_no_descriptor_left",
            "tests/fault/test_strace_child.py::test_no_descriptor_for_clients_links_and_files",
            "tests/fault/test_strace_child.py::test_a_link_whose_reads_and_writes_fail_is_another_link",
            "tests/fault/test_start_calls.py::test_a_restart_waits_for_a_descriptor",
            "tests/process/test_clients.py::test_clients_leave_descriptors_for_link_and_log",
            "tests/fault/test_delayed_moments.py::test_no_descriptor_free_ends_the_run_for_a_second",
        ),
        needs=STRACE,
        seconds=40,
    ),
    Row(
        8,
        "the directory of the logs is read-only or missing; a log is a directory, a FIFO, a link",
        (
            "tests/fault/test_surroundings.py::test_something_else_than_a_file_at_all_three_names",
            "tests/fault/test_surroundings.py::test_directories_that_are_missing_for_a_while",
            "tests/fault/test_surroundings.py::test_a_disk_that_turns_read_only",
            "tests/fault/test_log_faults.py::test_what_is_no_log_is_named_and_left_alone",
            "tests/fault/test_log_faults.py::test_a_directory_that_may_not_be_written_is_told",
            "tests/process/test_starts.py::test_a_missing_logs_directory",
            "tests/process/test_starts.py::test_directories_that_cannot_be_written",
        ),
        needs=ROOT,
        seconds=30,
    ),
    Row(
        9,
        "logs are rotated by renaming, removing, copying and cutting, 50 times a second",
        (
            "tests/fault/test_live_rotation.py",
            "tests/fault/test_flush_rotation.py",
            "tests/fault/test_log_rotation.py",
        ),
        seconds=60,
    ),
    Row(
        10,
        "the clock jumps ten years to and fro",
        (
            "tests/fault/test_clock.py",
            "tests/fault/test_log_faults.py::test_clock_jumps_of_ten_years_change_only_the_text",
            "tests/unit/test_delayed_ages.py",
            "tests/unit/test_clock.py::test_ctime_after_a_clock_jump",
        ),
        needs=FAKETIME,
        sizes={"LONC_TEST_JUMPS": "50"},
        seconds=60,
    ),
    Row(
        11,
        "1,000 clients that never finish a line, 100 that never read, 10,000 at once, 5,000 connects a second",
        (
            "tests/fault/test_many_clients.py",
            "tests/process/test_clients.py::test_a_thousand_idle_and_a_hundred_slow_clients_change_nothing",
            "tests/process/test_deaf.py",
            "tests/process/test_load.py",
        ),
        needs=COMPILER,
        sizes={"LONC_TEST_CROWD": "10000", "LONC_TEST_STORM": "5000"},
        seconds=120,
    ),
    Row(
        12,
        "lines of 16 MiB, of one byte more, without end; NUL, high bytes, CR LF, no newline, empty, blanks",
        (
            "tests/fault/test_line_corpus.py",
            "tests/process/test_limits.py",
            "tests/process/test_clients.py::test_printf_into_nc",
        ),
        seconds=90,
    ),
    Row(
        13,
        "a wrong challenge, refused, a wrong key, not ok, a huge or binary challenge",
        (
            f"{MISDEEDS}test_an_answer_of_the_dialogue_that_cannot_be_used",
            f"{MISDEEDS}test_an_odd_answer_that_harms_nobody",
            f"{MISDEEDS}test_a_peer_with_another_key_harms_only_what_is_encrypted",
        ),
        seconds=60,
    ),
    Row(
        14,
        "broken enc: frames; every mutation of one byte of valid ones",
        (
            "tests/fault/test_frame_mutations.py",
            "tests/unit/test_cipher.py::test_every_single_byte_mutation_is_decoded_or_refused",
            "tests/unit/test_cipher.py::test_a_frame_that_cannot_be_decoded_is_refused_and_not_quoted",
            f"{MISDEEDS}test_a_frame_that_cannot_be_decoded_costs_its_client_con_lost_and_nothing_else",
            f"{MISDEEDS}test_other_frames_of_the_peer",
        ),
        sizes={"LONC_TEST_MUTATIONS": "2000"},
        seconds=60,
    ),
    Row(
        15,
        "delayed files of every kind, content, name and age; changed underneath; 100,000; no directory",
        (
            "tests/unit/test_delayed_corpus.py",
            "tests/fault/test_many_messages.py",
            "tests/unit/test_delayed_ages.py",
            "tests/fault/test_delayed_moments.py",
            "tests/fault/test_delayed_races.py",
            "tests/fault/test_delayed_faults.py::test_a_replacement_at_any_call_is_sent_too",
            "tests/process/test_delayed_flow.py",
        ),
        sizes={"LONC_TEST_MESSAGES": "100000"},
        seconds=300,
    ),
    Row(
        16,
        "socket and pid files that are stale, foreign, recycled, garbage; 50 starts at once",
        ("tests/process/test_starts.py", "tests/process/test_start_obstacles.py", "tests/unit/test_lock.py",
         "tests/unit/test_lock_pidfile.py", "tests/unit/test_parent_listeners.py"),
        sizes={"LONC_TEST_START_ROUNDS": "10"},
        seconds=90,
    ),
    Row(
        17,
        "one address for several, an id twice, our own, no address, a slow resolver, one that moves, IPv6",
        (
            "tests/process/test_resolving.py",
            "tests/fault/test_tables.py::test_each_kind_of_entry_at_once",
            "tests/process/test_dialogue.py::test_the_link_to_our_own_id",
            "tests/process/test_dialogue.py::test_one_lond_that_plays_several_ids",
            "tests/process/test_table_again.py::test_a_changed_address_is_dialed_though_the_old_one_hangs",
            "tests/unit/test_resolver.py",
            "tests/unit/test_config_hosts.py::test_of_a_duplicated_id_the_later_line_wins",
        ),
        seconds=60,
    ),
    Row(
        18,
        "1,000 peers: all dead, half of them, none",
        ("tests/fault/test_many_peers.py", "tests/process/test_scale.py"),
        sizes={"LONC_TEST_PEERS": "1000"},
        seconds=300,
    ),
    Row(
        19,
        "fork fails",
        (
            f"{PROCESSES}test_forks_that_fail_are_tried_again",
            "tests/fault/test_strace_errors.py",
            f"{PROCESSES}test_a_limit_of_processes_is_waited_out",
            "tests/process/test_parent_children.py::test_a_fork_that_fails_is_tried_again_and_never_ends_the_parent",
            "tests/process/test_on_demand.py::test_a_knock_while_forks_fail_is_answered_when_they_work",
        ),
        needs=f"{STRACE}; {ROOT}",
        seconds=30,
    ),
    Row(
        20,
        "storms and odd orders of signals; TERM to all at once; HUP to a broken version; 500 children die at once",
        (
            "tests/process/test_restart.py",
            "tests/process/test_endings.py",
            "tests/process/test_parent_restart.py",
            f"{PROCESSES}test_all_children_die_at_once",
            f"{PROCESSES}test_many_hup_leave_nothing_behind",
            f"{PROCESSES}test_many_usr2_leave_nothing_behind",
        ),
        sizes={"LONC_TEST_DEATHS": "500", "LONC_TEST_LEAKS": "60"},
        seconds=400,
    ),
    Row(
        21,
        "a child in an endless loop, a stopped one, a zombie",
        (
            f"{PROCESSES}test_a_stopped_child_and_one_in_a_busy_loop_are_found_and_replaced",
            f"{BUFFERS}test_zombies_are_reaped_and_replaced_as_soon_as_the_parent_can",
            "tests/process/test_parent_children.py::test_a_stuck_child_is_found_and_replaced",
            "tests/process/test_parent_children.py::test_sigchld_by_hand_is_harmless",
            "tests/fault/test_pool_babysitter.py",
        ),
        seconds=120,
    ),
    Row(
        22,
        "hosts.tab half-written, empty, of 100,000 lines, binary, with CR LF",
        (
            "tests/fault/test_tables.py",
            "tests/unit/test_config_hosts.py",
            "tests/process/test_starts.py::test_a_table_that_cannot_be_used",
            "tests/process/test_restart.py::test_hup_to_something_broken_keeps_the_old_one_serving",
            "tests/process/test_table_again.py::test_a_table_that_cannot_be_used_changes_nothing_and_is_told",
        ),
        sizes={"LONC_TEST_TABLES": "all"},
        seconds=60,
    ),
    Row(
        23,
        "one bit is flipped anywhere in the stream",
        (f"{MISDEEDS}test_one_flipped_bit_is_never_a_crash", "tests/fault/test_bad_line.py"),
        sizes={"LONC_TEST_SEEDS": "30"},
        seconds=120,
    ),
    Row(
        24,
        "hours of mixed faults with 20 peers",
        ("tests/fault/test_soak.py",),
        ROOT,
        seconds=150,
    ),
)
