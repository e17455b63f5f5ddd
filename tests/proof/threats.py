"""Owns the table of threats: what somebody may try, what lonc does about it, and the tests that show it.

SECURITY.md is the same for people. A test is FILE::NAME below tests/; that each is there is a test of its own
(tests/unit/test_proof_threats.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Threat:
    """One line. threat: what is tried; answer: what is done about it, or why nothing is; tests: what shows it."""

    name: str
    threat: str
    answer: str
    tests: tuple[str, ...]


THREATS: Final = (
    Threat(
        "strangers",
        "A local user uses the sockets, and so speaks to all servers as this one.",
        "Sockets are 0660 in a directory closed to others; the kernel says who connects: the daemon's user, root "
        "and those of loncAllowUsers are served, others refused and logged with process and user.",
        (
            "process/test_clients.py::test_who_may_ask_is_decided_by_the_kernels_word",
            "security/test_users.py::test_a_stranger_is_told_of_with_process_and_user_and_reaches_nobody",
            "security/test_modes.py::test_directories_that_are_too_open_are_kept_and_told",
        ),
    ),
    Threat(
        "modes",
        "A file is readable for others, because of the umask or the moment in which it is made.",
        "Each file has its final mode from the first moment, whatever umask the starter had.",
        (
            "security/test_modes.py::test_no_file_is_more_open_than_it_shall_be_though_the_starter_has_no_umask",
            "security/test_modes.py::test_every_file_can_be_used_though_the_starters_umask_is_all",
        ),
    ),
    Threat(
        "passwords",
        "Passwords are read from delayed files, titles, logs, status, pages, tools, environment or core.",
        "Masked everywhere; delayed files 0600; what our library keeps of `encrypt:` commands is sealed.",
        (
            "process/test_secrets.py::test_live",
            "process/test_secrets.py::test_delayed_rejected_bad_and_unanswered",
            "unit/test_ctl_secrets.py::test_no_verb_shows_request_text",
            "process/test_lonnet_critical.py::test_a_sealed_message_waits_unreadable_and_is_delivered",
            "unit/test_sealing.py::test_what_was_sealed_for_one_peer_opens_for_no_other",
            "security/test_process.py::test_neither_environment_nor_command_line_of_any_process_holds_a_secret",
        ),
    ),
    Threat(
        "listener",
        "Somebody listens on the line: all is in clear, and the key of the rest can be computed.",
        "The old wire cannot be mended; doctor says so, and loncVia with londVia lead the link through a tunnel.",
        (
            "security/test_tunnel.py::test_through_a_tunnel_a_listener_hears_nothing",
            "security/test_tunnel.py::test_without_tls_the_same_listener_hears_all_of_it",
            "security/test_tunnel.py::test_a_stranger_comes_through_neither_end",
            "security/test_tunnel.py::test_a_mistake_is_told_with_its_line_and_nothing_starts",
            "unit/test_config_via.py::test_doctor_says_who_can_read_along",
        ),
    ),
    Threat(
        "injection",
        "What comes from outside is obeyed by the terminal or the browser of whoever reads log, status or page.",
        "One printable line, escaped for HTML, cut; a severity word only where we put it.",
        (
            "security/test_injection.py::test_nothing_that_anybody_reads_is_obeyed",
            "unit/test_shown.py::test_whatever_comes_is_one_printable_bounded_line_without_markup",
        ),
    ),
    Threat(
        "hand-over",
        "Somebody starts lonc with a forged hand-over, to be taken for the daemon or to have files removed.",
        "Believed only from this very process that holds the lock already; each descriptor is checked.",
        (
            "security/test_forged_restart.py::test_whoever_is_not_the_daemon_is_refused_and_the_daemon_goes_on",
            "security/test_forged_restart.py::test_sockets_and_children_of_a_forged_hand_over_are_not_believed",
            "security/test_forged_restart.py::test_what_is_no_number_is_refused",
            "unit/test_parent_handover.py::test_damaged_notes_are_refused",
            "unit/test_lock.py::test_a_made_up_descriptor_is_not_adopted",
        ),
    ),
    Threat(
        "links",
        "Somebody swaps names for links, so that another file is overwritten, emptied, moved or removed.",
        "No link is followed, nothing is written that another user owns under a second name, what is replaced is "
        "replaced by rename in its own directory.",
        (
            "security/test_links.py::test_logs_and_status",
            "security/test_links.py::test_what_holds_the_state_of_the_daemon",
            "security/test_links.py::test_a_start_among_links",
            "security/test_links.py::test_delayed_messages_and_their_directories",
            "security/test_links.py::test_a_file_with_a_second_name_is_refused_and_told",
            "fault/test_surroundings.py::test_something_else_than_a_file_at_all_three_names",
        ),
    ),
    Threat(
        "exhaustion",
        "One client takes all places, descriptors or memory.",
        "Limits for each client and for all; another user has half of the places at most; descriptors are kept "
        "for link and log.",
        (
            "security/test_users.py::test_a_user_who_is_allowed_takes_no_more_than_half_of_the_places",
            "process/test_clients.py::test_clients_leave_descriptors_for_link_and_log",
            "process/test_clients.py::test_no_descriptor_left",
            "process/test_limits.py::test_memory_stays_bounded_through_long_lines",
        ),
    ),
    Threat(
        "peer",
        "A lond sends replies without end, lengths that lie, or one byte at a time.",
        "Limits of length, and one deadline for each request however the bytes come.",
        (
            "security/test_malice.py::test_lengths_that_lie_cost_their_own_client_con_lost",
            "security/test_malice.py::test_one_deadline_for_a_request_however_the_peer_plays_for_time",
            "process/test_limits.py::test_a_reply_without_measure_takes_no_memory",
            "process/test_time_limits.py::test_a_reply_that_drips_has_one_limit_not_one_per_byte",
        ),
    ),
    Threat(
        "names",
        "An id of the table, or the name of a message, leads to another place of the file system.",
        "Strict rules before anything becomes the name of a file.",
        (
            "security/test_malice.py::test_ids_that_are_no_file_names_cost_only_themselves",
            "security/test_malice.py::test_a_file_of_delayed_messages_named_for_another_place_is_never_sent_there",
            "unit/test_config_hosts.py::test_malformed_lines_are_told_and_cost_only_themselves",
        ),
    ),
    Threat(
        "memory",
        "The memory of a process, with passwords in flight, is read by a core or by another process.",
        "No core, not dumpable: parent, each child, and after a restart.",
        (
            "security/test_process.py::test_neither_parent_nor_child_may_write_a_core_also_after_a_restart_and_a_death",
            "security/test_process.py::test_other_processes_of_the_same_user_cannot_look_into_parent_or_child",
        ),
    ),
    Threat(
        "source",
        "The program, or what it needs, has a hole that is known.",
        "bandit over the source, each accepted finding with its reason; lower bounds held against advisories.",
        (
            "security/test_source.py::test_every_finding_is_accepted_with_a_reason_and_no_more_than_that",
            "security/test_dependencies.py::test_no_lower_bound_allows_a_version_with_a_known_hole",
            "security/test_dependencies.py::test_pip_audit_knows_of_nothing",
        ),
    ),
)
