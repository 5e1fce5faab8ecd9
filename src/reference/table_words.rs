//! What is to be said of each table beside its columns. The match is over all tables: a new one does not compile without words.

use pulselake_model::Entity;
use pulselake_model::tables::LakeTable;

/// Words about a table.
pub(super) struct About {
    /// What one row is.
    pub(super) row: &'static str,
    /// Who writes it.
    pub(super) writer: &'static str,
    /// How it changes.
    pub(super) changes: &'static str,
    /// How long rows stay.
    pub(super) retention: &'static str,
}

const FOR_EVER: &str = "for ever";
const APPENDED: &str = "rows are only appended; each commit carries the ledger";
const BY_DAY: &str = "a day's rows are exchanged whole, in one commit";

/// The words.
pub(super) fn about(table: LakeTable) -> About {
    let (row, writer, changes, retention) = match table {
        LakeTable::InvalidEventsContent => (
            "One row is one record of the events' topic that was rejected: its bytes, an error code and a reason.",
            "the engine; before bronze, so that a record is never in neither",
            APPENDED,
            FOR_EVER,
        ),
        LakeTable::RawEvents => (
            "One row is one record that parses, with its body byte for byte. Duplicates are here too.",
            "the engine, every `bronze.commit_interval_ms`; `pulselake quarantine replay` for records that are valid by now",
            APPENDED,
            FOR_EVER,
        ),
        LakeTable::VideoStats1Min => (
            "One row is a delta for one video and minute: **add the rows up**. Revision 0 is the window as it closed, a higher one what came late; rows of the partition −1 are a restatement's.",
            "the engine, when windows close; `pulselake quarantine replay`; `pulselake batch restate`",
            "rows are appended, each commit carries the ledger; compaction folds the revisions of a window into one row",
            "`maintenance.gold_max_age_ms` (0: for ever)",
        ),
        LakeTable::InvalidChanges(Entity::Videos) => (
            "One row is one rejected change of a video.",
            "the engine, where `cdc.videos_topic` is set",
            APPENDED,
            FOR_EVER,
        ),
        LakeTable::InvalidChanges(Entity::Users) => (
            "One row is one rejected change of a user.",
            "the engine, where `cdc.users_topic` is set",
            APPENDED,
            FOR_EVER,
        ),
        LakeTable::DimensionHistory(Entity::Videos) => (
            "One row is one version of a video (slowly changing dimension, type 2). Until when a version holds is in the view `v_dim_videos_history`.",
            "the engine, where `cdc.videos_topic` is set; before the dimension",
            APPENDED,
            FOR_EVER,
        ),
        LakeTable::DimensionHistory(Entity::Users) => (
            "One row is one version of a user. Until when a version holds is in the view `v_dim_users_history`.",
            "the engine, where `cdc.users_topic` is set; before the dimension",
            APPENDED,
            FOR_EVER,
        ),
        LakeTable::Dimension(Entity::Videos) => (
            "One row is a video as it is now. Deleted ones are gone.",
            "the engine, where `cdc.videos_topic` is set, every `cdc.commit_interval_ms`",
            "upserted by its key: rows and equality deletes, which compaction applies; each commit carries the ledger",
            "as long as the source has the row",
        ),
        LakeTable::Dimension(Entity::Users) => (
            "One row is a user as it is now. Deleted ones are gone.",
            "the engine, where `cdc.users_topic` is set, every `cdc.commit_interval_ms`",
            "upserted by its key: rows and equality deletes, which compaction applies; each commit carries the ledger",
            "as long as the source has the row",
        ),
        LakeTable::ExpectedActions => (
            "One row is an action that a generated run must lead to, or a video about which nothing is to be decided.",
            "`pulselake generate --qa`",
            "rows are only appended",
            FOR_EVER,
        ),
        LakeTable::RunManifest => (
            "One row is one run of the generator.",
            "`pulselake generate --qa`, last of the two",
            "rows are only appended",
            FOR_EVER,
        ),
        LakeTable::ActionQueue => (
            "One row is the present state of one action.",
            "the engine, where it decides (`[decisions]`), and the HTTP API",
            "upserted by its key, by compare-and-set on the snapshot that was read",
            FOR_EVER,
        ),
        LakeTable::RuleBaselines => (
            "One row is one percentile of one metric, of all videos (both cohort columns null) or of a cohort. Published rows never change.",
            "`pulselake batch run`, or the jobs for Spark and Trino",
            "rows are only appended",
            FOR_EVER,
        ),
        LakeTable::PayloadFields => (
            "One row is one key of the events' bodies, and what became of it ([drift](drift.md)).",
            "`pulselake batch run`, job `payload_fields`",
            "exchanged whole, in one commit",
            "fields without a column that nobody has sent for 90 days may make room for others",
        ),
        LakeTable::EngagementFacts => (
            "One row is one event of a day, once, with its session, its payload in columns, and what was known of video and user at that moment.",
            "`pulselake batch run`, or the jobs for Spark and Trino",
            BY_DAY,
            FOR_EVER,
        ),
        LakeTable::BatchVideoDaily => (
            "One row is one video on one day.",
            "`pulselake batch run`, or the jobs for Spark and Trino",
            "a day's rows are exchanged whole; made once more when the next day is known (`retention_d1`)",
            FOR_EVER,
        ),
        LakeTable::BatchQualityDaily => (
            "One row is one category (null: unknown) and bin of duration on one day.",
            "`pulselake batch run`, or the jobs for Spark and Trino",
            BY_DAY,
            FOR_EVER,
        ),
        LakeTable::SessionHealthDaily => (
            "One row is one segment of users on one day; `user_segment` null: all users.",
            "`pulselake batch run`, or the jobs for Spark and Trino",
            BY_DAY,
            FOR_EVER,
        ),
        LakeTable::CreatorRetentionWeekly => (
            "One row is one cohort of creators in one of the weeks since their first upload, as known at the end of the day.",
            "`pulselake batch run`, or the jobs for Spark and Trino",
            BY_DAY,
            FOR_EVER,
        ),
        LakeTable::BatchReconciliation => (
            "One row is one metric on one day, real time against batch ([reconciliation](reconciliation.md)).",
            "`pulselake batch run`, or the jobs for Spark and Trino",
            BY_DAY,
            FOR_EVER,
        ),
        LakeTable::BatchRuns => (
            "One row is one run of one batch job for one day.",
            "`pulselake batch run`",
            "rows are only appended",
            FOR_EVER,
        ),
    };
    About { row, writer, changes, retention }
}
