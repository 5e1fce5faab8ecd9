//! Names of the project's tables.

use crate::entity::Entity;

/// The catalog's name: what PyIceberg's `SqlCatalog("pulselake", …)` is opened with.
pub const CATALOG_NAME: &str = "pulselake";

/// A table of the project. Streams of the engine commit to those that [have a ledger](LakeTable::has_ledger).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LakeTable {
    /// `bronze.invalid_events_content`: one row per rejected event. First, because it commits first.
    InvalidEventsContent,
    /// `bronze.raw_events`: one row per record that parses.
    RawEvents,
    /// `gold.rt_video_stats_1min`: additive deltas per video and minute.
    VideoStats1Min,
    /// `bronze.invalid_events_cdc_*`: one row per rejected change. First, because it commits first.
    InvalidChanges(Entity),
    /// `dims.dim_*_history`: one row per version of a key.
    DimensionHistory(Entity),
    /// `dims.dim_*`: the present row per key.
    Dimension(Entity),
    /// `qa.expected_actions`: what a run of the generator must lead to. First: a run is whole once its manifest is there.
    ExpectedActions,
    /// `qa.run_manifest`: one row per run of the generator.
    RunManifest,
    /// `gold.rt_action_queue`: the present state of each action.
    ActionQueue,
    /// `dims.rt_rule_quantile_baselines`: what the rules call much and little.
    RuleBaselines,
    /// `silver.payload_fields`: the keys of the events' payloads, and what became of them.
    PayloadFields,
    /// `silver.fact_user_engagement`: one row per event, with its session and what was known of video and user.
    EngagementFacts,
    /// `gold.batch_video_daily`: one row per video and day.
    BatchVideoDaily,
    /// `gold.batch_quality_daily`: one row per category, bin of duration and day.
    BatchQualityDaily,
    /// `gold.session_health_daily`: one row per segment of users and day.
    SessionHealthDaily,
    /// `gold.creator_retention_weekly`: one row per cohort of creators, week since and day.
    CreatorRetentionWeekly,
    /// `gold.rt_batch_reconciliation`: one row per metric and day, real time against batch.
    BatchReconciliation,
    /// `qa.batch_runs`: one row per run of a batch job.
    BatchRuns,
}

impl LakeTable {
    /// The tables of the event stream, in the order in which one flush commits them.
    pub const OF_EVENTS: [LakeTable; 3] = [Self::InvalidEventsContent, Self::RawEvents, Self::VideoStats1Min];

    /// Every table.
    pub const ALL: [LakeTable; 21] = [
        Self::InvalidEventsContent,
        Self::RawEvents,
        Self::VideoStats1Min,
        Self::InvalidChanges(Entity::Videos),
        Self::DimensionHistory(Entity::Videos),
        Self::Dimension(Entity::Videos),
        Self::InvalidChanges(Entity::Users),
        Self::DimensionHistory(Entity::Users),
        Self::Dimension(Entity::Users),
        Self::ExpectedActions,
        Self::RunManifest,
        Self::ActionQueue,
        Self::RuleBaselines,
        Self::PayloadFields,
        Self::EngagementFacts,
        Self::BatchVideoDaily,
        Self::BatchQualityDaily,
        Self::SessionHealthDaily,
        Self::CreatorRetentionWeekly,
        Self::BatchReconciliation,
        Self::BatchRuns,
    ];

    /// The tables of the generator's truth, in the order in which a run is appended to them.
    pub const OF_QA: [LakeTable; 2] = [Self::ExpectedActions, Self::RunManifest];

    /// The tables of decisions: what was decided, and what it was compared with.
    pub const OF_DECISIONS: [LakeTable; 2] = [Self::ActionQueue, Self::RuleBaselines];

    /// The tables of the cold path, in the order of its jobs, and the log of their runs.
    pub const OF_BATCH: [LakeTable; 8] = [
        Self::PayloadFields,
        Self::EngagementFacts,
        Self::BatchVideoDaily,
        Self::BatchQualityDaily,
        Self::SessionHealthDaily,
        Self::CreatorRetentionWeekly,
        Self::BatchReconciliation,
        Self::BatchRuns,
    ];

    /// Whether a stream commits to it, with a ledger of what it has consumed.
    pub fn has_ledger(self) -> bool {
        !Self::OF_QA.contains(&self) && !Self::OF_DECISIONS.contains(&self) && !Self::OF_BATCH.contains(&self)
    }

    /// Whether a batch job exchanges its partitions whole. To the log of runs, rows are only appended.
    pub fn is_replaced(self) -> bool {
        Self::OF_BATCH.contains(&self) && self != Self::BatchRuns
    }

    /// Whether it may have more columns than it was created with: those that its source has got since.
    pub fn may_gain_columns(self) -> bool {
        matches!(self, Self::DimensionHistory(_) | Self::Dimension(_) | Self::EngagementFacts)
    }

    /// The column whose value is in one row at most; for tables that are upserted by it.
    pub fn key_column(self) -> Option<&'static str> {
        match self {
            Self::Dimension(entity) => Some(entity.key_column()),
            Self::ActionQueue => Some("action_id"),
            Self::InvalidEventsContent
            | Self::RawEvents
            | Self::VideoStats1Min
            | Self::InvalidChanges(_)
            | Self::DimensionHistory(_)
            | Self::ExpectedActions
            | Self::RunManifest
            | Self::RuleBaselines
            | Self::PayloadFields
            | Self::EngagementFacts
            | Self::BatchVideoDaily
            | Self::BatchQualityDaily
            | Self::SessionHealthDaily
            | Self::CreatorRetentionWeekly
            | Self::BatchReconciliation
            | Self::BatchRuns => None,
        }
    }

    /// The tables of one entity's changes, in the order in which one flush commits them.
    pub fn of_changes(entity: Entity) -> [LakeTable; 3] {
        [Self::InvalidChanges(entity), Self::DimensionHistory(entity), Self::Dimension(entity)]
    }

    /// Iceberg namespace.
    pub fn namespace(self) -> &'static str {
        match self {
            Self::InvalidEventsContent | Self::RawEvents | Self::InvalidChanges(_) => "bronze",
            Self::PayloadFields | Self::EngagementFacts => "silver",
            Self::VideoStats1Min
            | Self::ActionQueue
            | Self::BatchVideoDaily
            | Self::BatchQualityDaily
            | Self::SessionHealthDaily
            | Self::CreatorRetentionWeekly
            | Self::BatchReconciliation => "gold",
            Self::DimensionHistory(_) | Self::Dimension(_) | Self::RuleBaselines => "dims",
            Self::ExpectedActions | Self::RunManifest | Self::BatchRuns => "qa",
        }
    }

    /// Table name inside the namespace.
    pub fn name(self) -> &'static str {
        // The namespace and its dot are ASCII: the cut lies between characters.
        &self.full_name()[self.namespace().len() + 1..]
    }

    /// `namespace.name`, as people write it and as metrics label it.
    pub fn full_name(self) -> &'static str {
        match self {
            Self::InvalidEventsContent => "bronze.invalid_events_content",
            Self::RawEvents => "bronze.raw_events",
            Self::VideoStats1Min => "gold.rt_video_stats_1min",
            Self::InvalidChanges(Entity::Videos) => "bronze.invalid_events_cdc_videos",
            Self::InvalidChanges(Entity::Users) => "bronze.invalid_events_cdc_users",
            Self::DimensionHistory(Entity::Videos) => "dims.dim_videos_history",
            Self::DimensionHistory(Entity::Users) => "dims.dim_users_history",
            Self::Dimension(Entity::Videos) => "dims.dim_videos",
            Self::Dimension(Entity::Users) => "dims.dim_users",
            Self::ExpectedActions => "qa.expected_actions",
            Self::RunManifest => "qa.run_manifest",
            Self::ActionQueue => "gold.rt_action_queue",
            Self::RuleBaselines => "dims.rt_rule_quantile_baselines",
            Self::PayloadFields => "silver.payload_fields",
            Self::EngagementFacts => "silver.fact_user_engagement",
            Self::BatchVideoDaily => "gold.batch_video_daily",
            Self::BatchQualityDaily => "gold.batch_quality_daily",
            Self::SessionHealthDaily => "gold.session_health_daily",
            Self::CreatorRetentionWeekly => "gold.creator_retention_weekly",
            Self::BatchReconciliation => "gold.rt_batch_reconciliation",
            Self::BatchRuns => "qa.batch_runs",
        }
    }
}
