//! Every fault that this room has to stand, and the tests that put it to it.
//!
//! The table cannot drift: a test that it names and that is not there fails it.

/// A fault, and the tests that cause it.
const CASES: [(&str, &[&str]); 25] = [
    (
        "the database hangs: accepts, and never answers",
        &[
            "with_the_defaults_a_hang_is_known_within_nine_seconds",
            "a_hang_holds_one_run_and_leaves_liveness_alone",
            "what_answers_after_its_soft_deadline_every_time_is_not_well",
            "a_paused_server_turns_readiness_and_holds_one_connection_until_it_is_resumed",
        ],
    ),
    (
        "the database refuses",
        &[
            "a_refused_connection_is_told_by_its_code_alone",
            "a_killed_server_is_refused_at_once_and_comes_back_without_a_restart",
        ],
    ),
    (
        "the database is slow",
        &[
            "slow_is_a_warning_and_a_plain_200",
            "what_is_slow_for_long_is_logged_once",
        ],
    ),
    (
        "results flap below the thresholds",
        &[
            "flapping_below_the_threshold_changes_nothing",
            "failures_count_in_a_row_and_not_in_all",
        ],
    ),
    (
        "a probe panics: in the call, in its first poll, in a later one, in drop, in its error",
        &[
            "a_panic_fails_one_dependency_and_harms_no_other",
            "a_driver_that_is_dropped_survives_every_destructor",
        ],
    ),
    (
        "a probe never yields",
        &["a_probe_that_blocks_its_thread_stalls_no_request_and_is_not_believed_for_ever"],
    ),
    (
        "a blocking probe hangs",
        &[
            "a_blocking_probe_that_hangs_holds_one_thread",
            "a_blocking_probe_that_hangs_fails_and_is_not_run_again_beside_itself",
        ],
    ),
    (
        "the application has exhausted its pool",
        &[
            "an_exhausted_pool_is_a_warning_and_nobody_queues_for_it",
            "a_pool_that_is_nearly_full_warns_and_is_not_asked_for_a_connection",
        ],
    ),
    (
        "clients abort, send HEAD, and invent queries, by the thousand",
        &[
            "a_thousand_aborted_clients_and_a_flood_of_heads_run_none",
            "ten_thousand_requests_before_the_first_result_run_one_probe",
        ],
    ),
    (
        "ten thousand requests at once before the first result",
        &[
            "every_path_is_answered_alike_to_ten_thousand_clients_at_once",
            "before_the_first_results_it_is_live_and_neither_ready_nor_started",
        ],
    ),
    (
        "the wall clock jumps",
        &[
            "a_wall_that_jumps_moves_timestamps_and_nothing_else",
            "a_clock_that_steps_back_stops_no_probe_and_no_uptime",
            "a_wall_clock_outside_of_rfc_3339_is_left_out",
        ],
    ),
    (
        "the machine is suspended, or a debugger holds the process",
        &[
            "a_machine_that_slept_asks_each_dependency_once_and_at_once",
            "after_a_long_pause_everything_is_probed_once_and_at_once",
            "a_suspended_machine_does_not_count_against_the_beat",
        ],
    ),
    (
        "a graph with a cycle, an edge to itself, an unknown parent, or a bad name",
        &[
            "a_cycle_is_named_by_its_path",
            "unknown_and_duplicate_names_are_refused",
            "names_that_would_break_a_path_or_a_key_are_refused",
            "a_configuration_that_cannot_work_cannot_be_built",
        ],
    ),
    (
        "a parent is down while its child would be up",
        &[
            "a_child_of_a_failed_parent_is_blocked_and_comes_back_with_it",
            "a_child_is_never_blamed_before_its_parent",
        ],
    ),
    (
        "a diamond of which two roots are down",
        &[
            "two_roots_of_a_diamond_are_each_named_once_and_in_order",
            "a_diamond_has_its_roots_once_and_in_order",
        ],
    ),
    (
        "everything is down",
        &["all_shared_down_is_200_and_one_local_down_is_503"],
    ),
    (
        "there is nothing to check, or all of it is excluded",
        &[
            "without_dependencies_it_is_well_once_driven",
            "a_page_of_which_everything_is_excluded_passes",
        ],
    ),
    (
        "it drains while a check recovers, twice, and before it has started",
        &[
            "draining_is_for_good_and_leaves_liveness_alone",
            "draining_before_the_driver_runs_holds_too",
        ],
    ),
    (
        "it is in maintenance, and restarts",
        &["maintenance_is_on_and_off_at_once"],
    ),
    (
        "the driver is dropped, never spawned, or its runtime is gone",
        &[
            "a_dropped_driver_is_stale_at_once",
            "a_driver_that_is_never_polled_is_stale_after_the_maximum_age",
            "a_driver_whose_runtime_is_gone_is_stale_for_those_who_are_left",
            "a_driver_that_is_gone_is_logged_once",
        ],
    ),
    (
        "a subscriber lags, or panics",
        &[
            "a_reader_that_panics_or_never_reads_holds_nobody_up",
            "transitions_arrive_once_each_and_a_slow_reader_sees_the_newest",
        ],
    ),
    (
        "an error's text holds addresses, passwords, escapes, markup, a megabyte",
        &[
            "what_an_error_says_is_in_no_answer_whoever_asks_and_however",
            "error_text_of_any_kind_reaches_nobody",
            "an_errors_text_is_in_no_document_and_every_document_is_json",
        ],
    ),
    (
        "a probe observes NaN, or infinity",
        &[
            "a_value_that_is_no_number_is_left_out_and_breaks_no_limit",
            "every_document_of_every_state_has_the_shape_that_is_kept_for_it",
        ],
    ),
    (
        "the predicate that admits viewers panics, or is slow",
        &[
            "a_predicate_that_panics_admits_nobody",
            "a_predicate_that_is_slow_holds_up_its_own_request_alone",
        ],
    ),
    (
        "a thousand probes",
        &[
            "a_thousand_probes_keep_to_the_cap_and_boot_in_bounded_time",
            "a_thousand_changes_are_told_in_fifty_pages_a_second",
            "a_page_for_operators_is_as_long_as_a_kubelet_reads_and_says_what_it_leaves_out",
        ],
    ),
];

const TESTS: [&str; 16] = [
    include_str!("bystanders.rs"),
    include_str!("documents.rs"),
    include_str!("endpoints.rs"),
    include_str!("faults.rs"),
    include_str!("hostile.rs"),
    include_str!("lifecycle.rs"),
    include_str!("load.rs"),
    include_str!("panics.rs"),
    include_str!("pools.rs"),
    include_str!("probes.rs"),
    include_str!("time.rs"),
    include_str!("../../backends/it/health/postgres.rs"),
    include_str!("../../../src/health/beat.rs"),
    include_str!("../../../src/health/graph/tests.rs"),
    include_str!("../../../src/health/probe/outcome.rs"),
    include_str!("../../../src/health/render/json/tests.rs"),
];

#[test]
fn every_fault_has_its_tests() {
    for (fault, tests) in CASES {
        assert!(!tests.is_empty(), "{fault}");
        for test in tests {
            let declared = format!("fn {test}(");
            let found = TESTS.iter().filter(|file| file.contains(&declared)).count();
            assert_eq!(found, 1, "{fault}: {test}");
        }
    }
}
