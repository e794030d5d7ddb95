"""
Which test shows what becomes of records in which odd circumstance.

Numbers alone are circumstances of the writer, those with an F faults of what it relies on.
A circumstance without a test has its reason beside it.
"""

from __future__ import annotations

import pytest

from tests.named import exists


# What can't be shown on one machine, or not with what there is here.
UNTESTED: dict[str, str] = {
    "62": "gevent is none of the packages that this project tests with",
}

_CRASH = "write/test_kill.py::test_"
_EXIT = "write/test_exit.py::test_"
_FORK = "write/test_fork.py::test_"
_PREFORK = "write/test_prefork.py::test_"
_BUFFER = "write/test_buffer.py::test_"
_MAILBOX = "write/test_mailbox.py::test_"
_OUTAGE = "write/test_outage.py::test_"
_FAULTS = "write/test_faults.py::test_"
_PROGRAMS = "write/test_programs.py::test_"
_REFUSALS = "write/test_refusals.py::test_"
_DISKS = "write/test_disks.py::test_"
_NTH_CALL = "write/test_nth_call.py::test_"
_VERIFY = "store/test_verify.py::test_"
_DELIVERY = "write/test_delivery.py::test_"
_LETTERS = "write/test_deadletters.py::test_"
_SPOOL = "write/spool/test_spool.py::test_"
_DISK = "write/spool/test_faults.py::test_"
_DAMAGE = "write/spool/test_damage.py::test_"
_PROCESSES = "write/spool/test_processes.py::test_"
_THREADS = "write/spool/test_threads.py::test_"
_SESSION = "write/test_transaction.py::test_"
_SAVEPOINT = "write/test_savepoints.py::test_"
_SIMULATION = "write/test_simulation.py::test_"
_POSTGRES = "store/test_postgresql.py::test_"
_SQLITE = "store/test_sqlite.py::test_"
_CODES = "store/test_errorcodes.py::test_"
_PARTITIONS = "store/test_partitions.py::test_"
_DICTCONFIG = "capture/test_dictconfig.py::test_"
_IDS = "record/test_ids.py::test_"

SCENARIOS: dict[str, tuple[str, ...]] = {
    # -- how a program ends
    "1": (_EXIT + "a_program_that_just_ends_has_stored_all",),
    "2": (_EXIT + "an_exception_that_nobody_catches_is_told_as_ever_and_all_is_stored",),
    "3": (
        _EXIT + "an_exit_while_a_thread_goes_on_waits_for_the_thread_and_stores_all",
        _EXIT + "ctrl_c_ends_a_program_as_ever_and_all_is_stored",
    ),
    "4": (
        _PROGRAMS + "what_a_sigterm_leaves_that_nobody_handles_is_stored_by_the_next",
        _EXIT + "a_program_that_asks_for_it_stores_all_when_it_is_terminated",
    ),
    "5": (_CRASH + "what_killed_processes_accepted_is_stored_once_by_the_next",),
    "6": (
        _CRASH + "two_hundred_kills_cost_nothing",
        _PROCESSES + "five_deaths_in_a_row_and_one_during_recovery_leave_each_row_once",
    ),
    "7": (_CRASH + "a_kill_around_the_commit_neither_doubles_nor_loses",),
    "8": (
        _CRASH + "a_frame_that_is_torn_is_counted_and_costs_no_other",
        _DAMAGE + "a_frame_during_which_the_process_died_is_counted_and_gone",
    ),
    "9": (_EXIT + "a_record_of_an_exit_function_that_runs_after_ours_is_counted",),
    "10": (_EXIT + "a_record_of_a_finalizer_at_the_end_of_the_interpreter_is_no_trouble",),
    "11": (
        _EXIT + "a_first_record_of_an_exit_function_is_stored",
        _EXIT + "what_was_recorded_where_no_thread_could_start_is_stored_at_the_end",
    ),
    "12": (
        _BUFFER + "close_twice_is_close_once",
        _BUFFER + "threads_that_close_at_once_all_wait_for_the_end",
        _BUFFER + "closing_again_after_a_loss_costs_no_time_and_tells_no_more",
    ),
    "13": (
        _EXIT + "a_database_that_does_not_answer_delays_the_end_no_longer_than_it_may",
        _FAULTS + "a_close_is_in_time_and_leaves_nothing_running_while_nobody_is_let_in",
        _PROGRAMS + "a_postgresql_that_lets_everybody_in_and_answers_nobody_delays_no_end",
    ),
    "14": (_DICTCONFIG + "a_second_dict_config_while_threads_log_loses_nothing",),
    "15": (_EXIT + "records_after_logging_was_shut_down_are_stored",),
    # -- forks and processes
    "16": (_FORK + "a_child_that_ends_as_a_program_does_has_stored_its_own",),
    "17": (
        _FORK + "a_child_of_multiprocessing_that_just_returns_has_stored_its_own",
        _PREFORK + "a_child_of_multiprocessing_stores_what_it_wrote_ahead",
    ),
    "18": (
        _CRASH + "what_a_child_leaves_that_ends_at_once_is_stored_by_its_parent",
        _PREFORK + "children_by_os_fork_store_what_they_wrote_ahead",
    ),
    "19": (_FORK + "children_of_a_busy_parent_neither_hang_nor_lose",),
    "20": (
        _FORK + "children_of_a_busy_parent_neither_hang_nor_lose",
        _FORK + "a_fork_waits_for_one_call_only_however_much_there_is_to_write",
    ),
    "21": (_FORK + "a_child_of_a_child_has_a_writer_of_its_own",),
    "22": (_PREFORK + "each_worker_of_a_server_that_loads_before_it_forks_stores_its_own",),
    "23": (_PREFORK + "each_worker_of_a_process_pool_stores_its_own",),
    "24": (
        _CRASH + "a_living_process_takes_over_what_a_killed_one_left",
        _PROCESSES + "a_living_process_keeps_its_segments_and_a_dead_one_does_not",
        _DISK + "the_folder_may_be_made_by_another_process_meanwhile",
    ),
    # -- calls within calls, and many at once
    "25": (_EXIT + "an_alarm_many_times_a_second_may_record_while_its_thread_does",),
    "26": (
        _BUFFER + "a_finalizer_may_record_while_its_thread_records",
        _THREADS + "a_finalizer_may_append_at_any_allocation",
    ),
    "27": (
        _MAILBOX + "the_bound_is_exceeded_by_no_more_than_the_threads_that_append",
        _BUFFER + "whatever_happens_the_accounts_are_exact",
    ),
    "28": (_BUFFER + "flush_returns_though_callers_never_pause",),
    "29": ("capture/test_hostile.py::test_a_call_within_a_call_records_both",),
    "30": ("capture/test_hostile.py::test_what_is_stored_is_what_was_true_at_the_call",),
    "31": (
        _EXIT + "an_interrupt_at_any_moment_leaves_the_log_usable",
        _DISK + "an_interrupt_at_any_step_of_an_append_leaves_exact_counts",
        "write/test_ticks.py::test_no_interrupt_comes_between_an_act_and_its_count",
    ),
    # -- what we ourselves say
    "32": (_PROGRAMS + "what_drivers_say_at_debug_is_never_recorded",),
    "33": (
        _BUFFER + "a_handler_of_the_host_that_records_what_we_say_gets_no_loop",
        _DELIVERY + "a_connection_that_breaks_all_the_time_is_told_once_a_minute",
    ),
    "34": (_PROGRAMS + "what_drivers_say_at_debug_is_never_recorded",),
    # -- the database
    "35": (_OUTAGE + "a_server_that_is_down_at_first_gets_all_in_order_later",),
    "36": (
        _BUFFER + "while_the_database_is_slow_the_newest_are_dropped",
        _BUFFER + "while_the_database_is_slow_the_oldest_are_dropped",
        "write/test_losses.py::test_the_table_tells_of_what_an_outage_cost",
        _REFUSALS + "what_an_outage_costs_is_what_the_policy_says_and_the_table_tells_it",
    ),
    "37": (_OUTAGE + "connections_that_are_ended_again_and_again_cost_nothing",),
    "38": (_FAULTS + "a_commit_that_gets_lost_and_one_whose_answer_does_are_each_made_once",),
    "39": (_OUTAGE + "a_failover_to_a_server_that_is_read_only_is_waited_out",),
    "40": (_OUTAGE + "a_lock_of_somebody_else_is_waited_for",),
    "41": (_OUTAGE + "tables_that_are_made_later_get_all_and_nothing_is_dead",),
    "42": (
        _CODES + "a_code_of_postgresql_says_whose_fault_it_is",
        _REFUSALS + "codes_that_are_nobodys_fault_are_waited_out_and_nothing_is_dead",
    ),
    "43": (
        _DELIVERY + "a_batch_that_takes_too_long_is_halved_until_it_passes",
        _REFUSALS + "a_statement_that_takes_longer_than_the_server_allows_is_made_smaller",
    ),
    "44": (
        "test_log.py::test_a_wrong_password_is_told_and_never_shown",
        _REFUSALS + "a_password_that_was_changed_is_asked_for_until_it_is_right",
    ),
    "45": (
        _OUTAGE + "a_file_that_somebody_else_locks_gets_all_later",
        _DISKS + "a_lock_on_a_file_of_sqlite_is_waited_out",
    ),
    "46": (
        _POSTGRES + "text_that_no_database_takes_is_the_rows_own_fault",
        "capture/test_hostile.py::test_a_hostile_value_within_data_never_costs_its_record",
        _REFUSALS + "rows_that_no_check_has_seen_are_dead_and_cost_no_neighbour",
        _REFUSALS + "rows_that_sqlite_can_not_bind_are_dead_and_cost_no_neighbour",
    ),
    "47": (
        _POSTGRES + "a_value_too_long_for_an_index_is_the_rows_own_fault",
        _REFUSALS + "codes_that_are_a_rows_own_fault_cost_that_row_alone",
    ),
    "48": (
        _OUTAGE + "rows_that_break_a_constraint_are_dead_and_no_others",
        _REFUSALS + "a_batch_of_nothing_but_bad_rows_does_not_hold_up_the_next",
    ),
    "49": (
        "cli/test_dead.py::test_they_are_tried_again_and_stay_while_they_are_refused",
        "cli/test_dead.py::test_one_is_tried_again_by_its_id",
    ),
    "50": (_OUTAGE + "while_a_trigger_of_the_host_refuses_all_nothing_is_dead",),
    "51": (
        _PROGRAMS + "a_dead_letter_that_finds_no_place_is_counted_and_costs_no_other",
        _LETTERS + "letters_beyond_the_bound_are_not_taken",
    ),
    # -- the spool
    "52": ("test_log.py::test_a_spool_that_can_not_be_used_is_told_and_refused_where_it_matters",),
    "53": (
        _DISK + "a_full_file_system_is_survived_and_used_again",
        _DISK + "a_file_that_may_not_grow_leaves_nothing_behind",
    ),
    "54": (_DAMAGE + "what_is_no_segment_is_removed_or_set_apart_and_the_rest_is_read",),
    "55": (_DAMAGE + "a_flipped_bit_in_a_frame_costs_its_row_only",),
    "56": (
        _SPOOL + "one_orphan_is_open_at_a_time_however_many_there_are",
        _SPOOL + "own_rows_and_those_of_others_come_in_turn",
        _SPOOL + "a_backlog_keeps_no_memory_but_for_what_is_read_next",
    ),
    "57": (_DISK + "when_the_folder_is_deleted_it_is_made_again",),
    "58": (_SPOOL + "others_can_read_nothing_whatever_the_umask",),
    # -- coroutines
    "59": (_MAILBOX + "nothing_blocks_in_an_event_loop",),
    "60": (_PROGRAMS + "a_close_that_waits_for_the_database_keeps_no_coroutine_waiting",),
    "61": (_PROGRAMS + "a_call_whose_coroutine_is_cancelled_is_recorded_once_or_not_at_all",),
    "62": (),
    "63": (
        _PROGRAMS + "the_p99_of_a_record_beside_threads_that_compute_is_below_two_ms",
        _THREADS + "the_interpreter_is_not_let_go_of_while_a_frame_is_written",
    ),
    # -- transactions
    "64": (
        _SESSION + "a_commit_stores_both",
        _SESSION + "a_rollback_stores_neither",
        _SESSION + "a_close_without_commit_stores_neither",
        _SESSION + "a_commit_that_fails_stores_neither",
    ),
    "65": (
        _SAVEPOINT + "a_savepoint_that_is_rolled_back_takes_its_records_with_it",
        _SAVEPOINT + "a_savepoint_that_is_released_goes_with_the_transaction",
        _SAVEPOINT + "three_levels_keep_exactly_what_the_database_keeps",
    ),
    "66": ("write/test_session_processes.py::test_a_kill_leaves_both_or_neither",),
    "67": (_SESSION + "a_session_within_a_transaction_of_others_shares_its_fate",),
    "68": (
        _SESSION + "two_sessions_in_one_thread_keep_their_own",
        _SESSION + "a_session_is_used_again_after_each_end",
    ),
    "69": (_SESSION + "records_with_and_without_a_session_meet_in_the_counters",),
    # -- accounts and time
    "70": (
        _IDS + "ids_never_go_back_even_if_the_clock_does",
        _IDS + "ids_of_one_tick_keep_their_order",
    ),
    "71": (
        _SIMULATION + "a_simulated_world_keeps_its_accounts",
        _BUFFER + "whatever_happens_the_accounts_are_exact",
    ),
    "72": (_PROGRAMS + "one_bad_row_among_those_of_many_tenants_costs_no_other_tenant",),
    "73": ("write/test_losses.py::test_a_host_that_fails_is_counted_and_ends_nothing",),
    "74": (
        _PROGRAMS + "a_closed_log_leaves_no_file_and_no_thread",
        _EXIT + "a_closed_log_leaves_nothing_to_do_at_exit",
        "read/test_exit.py::test_a_program_that_reads_and_never_closes_ends_in_silence",
    ),
    # -- faults
    "F1": (_FAULTS + "what_is_recorded_while_connections_are_refused_is_written_later",),
    "F2": (
        _FAULTS + "a_server_that_never_answers_is_waited_for_by_the_writer_alone",
        _FAULTS + "connecting_is_given_up_after_its_timeout",
    ),
    "F3": (
        _FAULTS + "a_connection_that_is_cut_in_the_middle_of_copy_is_made_up_for",
        _OUTAGE + "a_server_that_crashes_and_comes_back_has_each_record_once",
    ),
    "F4": (_FAULTS + "a_commit_that_gets_lost_and_one_whose_answer_does_are_each_made_once",),
    "F5": (
        _FAULTS + "a_commit_that_gets_lost_and_one_whose_answer_does_are_each_made_once",
        _OUTAGE + "a_commit_whose_answer_got_lost_is_not_made_again",
    ),
    "F6": (_FAULTS + "connections_that_broke_while_nobody_looked_are_replaced",),
    "F7": (_FAULTS + "a_narrow_line_costs_those_that_find_no_room_and_they_are_counted",),
    "F8": (
        _FAULTS + "a_call_that_nobody_answers_is_broken_off_and_made_again",
        _FAULTS + "a_server_process_that_is_stopped_is_left_for_another",
    ),
    "F9": (
        _DELIVERY + "a_batch_that_takes_too_long_is_halved_until_it_passes",
        _REFUSALS + "a_statement_that_takes_longer_than_the_server_allows_is_made_smaller",
    ),
    "F10": (_POSTGRES + "a_locked_table_is_waited_for_no_longer_than_the_lock_timeout",),
    "F11": (
        _CODES + "a_code_of_postgresql_says_whose_fault_it_is",
        _REFUSALS + "a_deadlock_with_somebody_else_costs_another_try",
        _REFUSALS + "a_transaction_that_can_not_be_serialised_is_made_again",
    ),
    "F12": (
        _OUTAGE + "a_failover_to_a_server_that_is_read_only_is_waited_out",
        _POSTGRES + "a_read_only_server_is_transient",
    ),
    "F13": (
        _OUTAGE + "connections_that_are_ended_again_and_again_cost_nothing",
        _OUTAGE + "a_server_that_crashes_and_comes_back_has_each_record_once",
    ),
    "F14": (
        _OUTAGE + "a_close_is_in_time_though_the_server_lets_nobody_in",
        _REFUSALS + "a_server_that_has_no_connection_left_is_asked_again",
    ),
    "F15": (
        _OUTAGE + "tables_that_are_made_later_get_all_and_nothing_is_dead",
        _POSTGRES + "a_schema_that_does_not_fit_is_nobodys_row",
    ),
    "F16": (_POSTGRES + "missing_privileges_are_a_matter_of_configuration",),
    "F17": (
        "test_log.py::test_a_wrong_password_is_told_and_never_shown",
        _POSTGRES + "a_server_that_can_not_be_reached_is_named_without_its_password",
    ),
    "F18": (_OUTAGE + "rows_that_are_there_already_are_counted_and_the_others_written",),
    "F19": (_PARTITIONS + "rows_beyond_the_months_go_to_the_edges_and_are_found_there",),
    "F20": (
        _POSTGRES + "copy_names_the_row_at_fault",
        _DELIVERY + "exactly_the_bad_rows_are_dead_and_exactly_the_missing_ones_written",
    ),
    "F21": (
        _DISK + "a_full_file_system_is_survived_and_used_again",
        _DISK + "from_any_call_on_a_dead_disk_is_survived",
    ),
    "F22": (_SQLITE + "a_full_disk_is_transient_and_keeps_what_was_committed",),
    "F23": (
        _SQLITE + "a_locked_file_is_transient",
        _SQLITE + "a_file_that_may_not_be_written_is_a_matter_of_configuration",
        _SQLITE + "a_file_that_is_no_database_is_a_matter_of_configuration",
    ),
    "F24": (
        _CRASH + "two_hundred_kills_cost_nothing",
        _CRASH + "a_kill_around_the_commit_neither_doubles_nor_loses",
    ),
    "F25": (
        _EXIT + "an_exit_code_is_kept",
        _EXIT + "a_daemon_thread_that_never_stops_is_no_trouble",
        _EXIT + "a_program_that_asks_for_it_stores_all_when_it_is_terminated",
    ),
    "F26": (
        _FORK + "a_parent_that_ends_first_takes_nothing_from_its_child",
        "read/test_exit.py::test_a_forked_child_that_reads_leaves_its_parent_s_connection_alone",
    ),
    "F27": (
        _IDS + "ids_never_go_back_even_if_the_clock_does",
        _SIMULATION + "a_simulated_world_keeps_its_accounts",
    ),
    "F28": (
        _EXIT + "what_was_recorded_where_no_thread_could_start_is_stored_at_the_end",
        _BUFFER + "a_writer_is_started_as_soon_as_one_can_be",
    ),
    "F29": (_PROGRAMS + "where_no_file_can_be_opened_any_more_records_wait_until_one_can",),
    "F30": (
        _DISK + "whichever_call_fails_no_row_is_lost",
        _SIMULATION + "a_simulated_world_keeps_its_accounts",
        _NTH_CALL + "whichever_step_of_a_batch_fails_each_record_is_stored_once",
        _NTH_CALL + "whichever_step_of_a_batch_is_interrupted_the_next_try_tells_the_truth",
    ),
    "F31": (_PROGRAMS + "a_storm_of_records_while_the_database_is_away_takes_no_more_memory",),
    "F32": (_PROGRAMS + "what_drivers_say_at_debug_is_never_recorded",),
    "F33": (
        _EXIT + "a_record_of_a_finalizer_at_the_end_of_the_interpreter_is_no_trouble",
        _EXIT + "a_signal_handler_may_record_the_first_record_and_close",
    ),
    "F34": (_PROCESSES + "three_processes_adopt_each_row_once",),
    "F35": (_VERIFY + "a_changed_row_is_found_with_its_batch",),
}


def test_no_circumstance_is_missing() -> None:
    expected = [str(n) for n in range(1, 75)] + [f"F{n}" for n in range(1, 36)]
    assert list(SCENARIOS) == expected


@pytest.mark.parametrize("number", SCENARIOS)
def test_every_test_that_is_named_is_there(number: str) -> None:
    missing = [name for name in SCENARIOS[number] if not exists(name)]
    assert not missing


def test_what_no_test_shows_has_a_reason_and_nothing_else_does() -> None:
    assert {number for number, tests in SCENARIOS.items() if not tests} == set(UNTESTED)
    assert all(UNTESTED.values())
