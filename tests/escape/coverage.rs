//! Where each line of the list of attempts is tried. Rows are found by asking the program; a line that only the outside
//! can judge names the test that does, and that the test exists is checked in its source.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::table::known;

/// How many lines the list has.
const LINES: u32 = 83;

/// Line, file, test. A line that has rows as well stands here when part of it can only be seen from outside.
const TESTS: &[(u32, &str, &str)] = &[
    (6, "runner/tests/sandbox.rs", "submounts_and_root_are_as_read_only_as_what_is_above_them"),
    (7, "tests/escape/survive.rs", "nothing_that_a_module_tried_is_left_on_the_machine"),
    (8, "runner/tests/sandbox.rs", "a_writable_path_that_is_reached_through_a_link_is_refused"),
    (9, "tests/state/files.rs", "a_declared_path_through_a_link_is_refused_with_the_path_to_declare"),
    (9, "tests/escape/planted.rs", "a_declared_path_below_a_link_out_of_the_set_is_refused"),
    (10, "tests/escape/planted.rs", "a_replaced_dev_null_shows_nothing_that_is_hidden"),
    (12, "tests/escape/planted.rs", "set_id_bits_and_capabilities_are_refused_or_gone_after_the_run"),
    (23, "runner/tests/sandbox.rs", "tmp_is_private_and_bounded"),
    (26, "tests/escape/planted.rs", "links_that_a_failing_module_plants_are_not_followed"),
    (27, "tests/state/files.rs", "a_link_swapped_into_a_parent_before_the_restore_is_not_followed"),
    (28, "tests/state/files.rs", "a_planted_hard_link_is_unlinked_and_its_target_untouched"),
    (29, "tests/state/files.rs", "fifos_sockets_and_devices_are_never_opened"),
    (29, "tests/escape/planted.rs", "special_files_that_a_module_leaves_hang_nobody"),
    (30, "tests/state/files.rs", "owner_setuid_acl_capabilities_and_attributes_come_back"),
    (31, "tests/state/files.rs", "immutable_and_append_only_files_are_restored_and_locked_again"),
    (32, "tests/state/files.rs", "changed_deleted_and_created_files_are_put_back"),
    (33, "tests/state/files.rs", "a_sparse_terabyte_takes_no_time_and_no_space"),
    (42, "runner/tests/ending.rs", "a_module_can_neither_stop_nor_kill_its_init"),
    (43, "tests/outcomes/crash.rs", "killing_everything_reaches_only_the_sandbox"),
    (44, "tests/escape/survive.rs", "a_module_that_forks_twice_is_gone_at_its_end"),
    (45, "tests/escape/survive.rs", "the_tree_dies_with_its_supervisor_whatever_it_did_to_stay"),
    (45, "runner/tests/ending.rs", "the_tree_dies_with_the_supervisor_and_with_the_runner"),
    (46, "tests/escape/survive.rs", "the_tree_dies_with_its_supervisor_whatever_it_did_to_stay"),
    (47, "tests/outcomes/leftover.rs", "a_fork_bomb_is_bounded_and_gone_afterwards"),
    (48, "tests/outcomes/hang.rs", "a_module_that_ignores_sigterm_is_killed"),
    (49, "tests/outcomes/leftover.rs", "zombies_of_orphans_are_no_obstacle"),
    (50, "tests/outcomes/leftover.rs", "a_child_that_keeps_stdout_open_does_not_hold_up_the_run"),
    (74, "tests/outcomes/flood.rs", "a_gigabyte_on_stdout_is_cut_and_said"),
    (75, "tests/outcomes/channel.rs", "binary_garbage_is_a_garbled_report"),
    (75, "tests/outcomes/channel.rs", "endless_nesting_is_a_garbled_report"),
    (75, "tests/outcomes/channel.rs", "half_a_line_is_a_garbled_report"),
    (75, "tests/escape/boundary.rs", "every_kind_of_broken_report_is_an_outcome"),
    (76, "tests/outcomes/executable.rs", "nothing_of_the_supervisors_environment_or_descriptors_reaches_a_module"),
    (78, "tests/escape/boundary.rs", "a_module_that_takes_more_memory_than_it_may_is_ended_alone"),
    (79, "tests/escape/boundary.rs", "no_path_of_a_manifest_climbs"),
    (79, "tests/escape/requests.rs", "no_request_reaches_out_of_the_declared_set"),
    (80, "tests/escape/boundary.rs", "a_module_that_edits_its_own_profile_gains_nothing"),
    (81, "tests/escape/withheld.rs", "without_namespaces_no_module_runs"),
    (81, "tests/escape/withheld.rs", "without_landlock_no_module_runs"),
    (81, "tests/escape/withheld.rs", "without_seccomp_no_module_runs"),
    (82, "tests/outcomes/channel.rs", "requests_by_the_thousand_are_answered_in_turn"),
    (83, "tests/escape/requests.rs", "no_request_reaches_out_of_the_declared_set"),
    (83, "tests/sdk.rs", "the_slot_of_another_module_is_refused"),
];

#[test]
fn every_line_of_the_list_is_tried() {
    let rows = known();
    let digits = |row: &String| row.trim_end_matches(|c: char| c.is_ascii_lowercase()).parse::<u32>().unwrap();
    let covered: BTreeSet<u32> = rows.iter().map(digits).chain(TESTS.iter().map(|(line, ..)| *line)).collect();
    let missing: Vec<_> = (1..=LINES).filter(|line| !covered.contains(line)).collect();
    assert!(missing.is_empty(), "neither a row nor a test: {missing:?}");
    assert!(covered.iter().all(|line| (1..=LINES).contains(line)), "{covered:?}");
}

#[test]
fn every_test_that_covers_a_line_exists() {
    let missing = TESTS.iter().filter(|(_, file, name)| {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap_or_default();
        !text.contains(&format!("#[test]\nfn {name}()"))
    });
    let missing: Vec<_> = missing.collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
