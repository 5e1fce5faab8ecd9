//! What every catalog has to do, shown on each: SQLite always, PostgreSQL (on local files and on S3) and REST where `make test` starts
//! them.
#![allow(clippy::unwrap_used)]

#[path = "conformance/basics.rs"]
mod basics;
#[path = "conformance/maintenance.rs"]
mod maintenance;
#[path = "conformance/races.rs"]
mod races;
#[path = "conformance/rows.rs"]
mod rows;
#[path = "conformance/schema.rs"]
mod schema;
mod support;

/// One module for a catalog, with a test for each case.
macro_rules! catalog {
    ($name:ident, $kind:expr, $when:meta; $($group:ident: $($case:ident)*;)*) => {
        mod $name {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                #[$when]
                async fn $case() {
                    crate::$group::$case($kind).await;
                }
            )*)*
        }
    };
}

macro_rules! on_every_catalog {
    ($($cases:tt)*) => {
        catalog!(sqlite, crate::support::Kind::Sqlite, cfg(test); $($cases)*);
        catalog!(postgres, crate::support::Kind::Postgres, ignore = "needs PostgreSQL: run through make test"; $($cases)*);
        catalog!(rest, crate::support::Kind::Rest, ignore = "needs a REST catalog: run through make test"; $($cases)*);
        catalog!(postgres_on_s3, crate::support::Kind::PostgresOnS3, ignore = "needs PostgreSQL and S3: run through make test"; $($cases)*);
    };
}

on_every_catalog! {
    basics:
        a_table_is_created_once
        what_is_not_there_is_none
        tables_are_listed
        handles_see_each_others_commits
        properties_are_set_and_removed;
    rows:
        appends_add_up
        an_upsert_replaces_earlier_rows_alone
        a_position_delete_takes_one_row
        a_position_delete_of_a_rewritten_file_conflicts
        a_rewrite_keeps_rows_and_sequence_numbers
        equality_deletes_of_the_meantime_apply_to_rewritten_rows
        position_deletes_of_the_meantime_conflict_with_a_rewrite
        a_rewrite_of_files_that_are_gone_conflicts
        an_append_never_conflicts
        an_overwrite_replaces_its_partitions_alone
        an_overwrite_of_a_changed_partition_conflicts
        a_refused_change_leaves_no_files;
    maintenance:
        snapshots_expire
        a_snapshot_in_use_does_not_expire
        rewritten_manifests_hold_the_same_files
        manifests_are_merged_over_many_commits
        surplus_snapshots_leave_the_metadata
        rows_of_version_3_keep_their_ids;
    races:
        a_stale_base_loses_and_is_tried_again
        a_race_that_was_lost_to_oneself_is_won
        everything_that_was_acknowledged_is_there_once
        rewrites_and_deletes_race;
    schema:
        columns_are_added_and_widened
        a_column_that_contradicts_is_refused
        an_evolved_table_takes_every_change
        evolvers_that_race_both_win
        evolvers_and_appenders_race;
}
