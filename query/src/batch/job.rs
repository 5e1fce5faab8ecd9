//! The catalogue of jobs: what each makes, of what, and in which order.
//!
//! A job makes one day of one table. Its inputs decide when it is due again: see [`crate::batch::plan`].

use pulselake_model::Entity;
use pulselake_model::tables::LakeTable;

/// How a job makes its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// The rows of a query, which take the place of the day's partition. The text is a template: see
    /// [`crate::batch::template`].
    Replace {
        /// `sql/…/name.sql`.
        template: &'static str,
    },
    /// Silver, whose query needs to know more of the day: see [`crate::batch::silver`].
    Silver {
        /// Its query.
        template: &'static str,
    },
    /// The payload fields, found by reading bodies: see [`crate::batch::drift`].
    PayloadFields,
    /// The baselines, whose query's rows are added where nothing speaks against it.
    Baselines {
        /// Its query.
        template: &'static str,
    },
}

impl Work {
    /// Its template, where it has one.
    pub fn template(self) -> Option<&'static str> {
        match self {
            Self::Replace { template } | Self::Silver { template } | Self::Baselines { template } => {
                Some(template)
            }
            Self::PayloadFields => None,
        }
    }
}

/// Something that a job reads. Each has a fingerprint for a day; where one is another than when the day was made, the day
/// is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// Rows of `bronze.raw_events` of the day.
    Bronze,
    /// Versions in `dims.dim_*_history` that began before the end of the day.
    Versions(Entity),
    /// The sessions that were open when the day began.
    OpenSessions,
    /// Columns of payload fields that were there on the day or before: where one was given only later, the day's values of it
    /// are still missing.
    PayloadColumns,
    /// The sums of the rows of `gold.rt_video_stats_1min` of the day.
    RealTime,
    /// What another job made for the day that is so many days later (earlier, if negative).
    Made {
        /// Its name.
        job: &'static str,
        /// Days.
        shift: i64,
    },
}

/// A job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its name, which is that of its table without the namespace.
    pub name: &'static str,
    /// The table.
    pub target: LakeTable,
    /// How it makes its rows.
    pub work: Work,
    /// Raised when it makes other rows of the same input for another reason than its SQL: then every day is due again.
    pub revision: u32,
    /// What it reads. A job stands behind those whose tables it reads.
    pub inputs: &'static [Input],
    /// For a day that was asked for, the days that it makes, as shifts of that day: `[0]`, or `[-1, 0]` where something of the
    /// day before is known only now.
    pub shifts: &'static [i64],
}

/// Text of a file below `sql/`.
macro_rules! sql {
    ($file:literal) => {
        include_str!(concat!("../../../sql/", $file))
    };
}

/// Silver, as jobs name it that read it.
pub const SILVER: &str = "fact_user_engagement";

/// The reconciliation, whose verdict a run ends with.
pub const RECONCILIATION: &str = "rt_batch_reconciliation";

/// Silver of the day.
const SILVER_OF_THE_DAY: Input = Input::Made { job: SILVER, shift: 0 };

/// Every job, in the order in which a day is made.
pub const JOBS: &[Job] = &[
    Job {
        name: "payload_fields",
        target: LakeTable::PayloadFields,
        work: Work::PayloadFields,
        revision: 1,
        inputs: &[Input::Bronze],
        shifts: &[0],
    },
    Job {
        name: SILVER,
        target: LakeTable::EngagementFacts,
        work: Work::Silver { template: sql!("silver/fact_user_engagement.sql") },
        revision: 1,
        inputs: &[
            Input::Bronze,
            Input::Versions(Entity::Videos),
            Input::Versions(Entity::Users),
            Input::OpenSessions,
            Input::PayloadColumns,
        ],
        shifts: &[0],
    },
    Job {
        name: "batch_video_daily",
        target: LakeTable::BatchVideoDaily,
        work: Work::Replace { template: sql!("gold/batch_video_daily.sql") },
        revision: 1,
        inputs: &[
            SILVER_OF_THE_DAY,
            // Who comes back.
            Input::Made { job: SILVER, shift: 1 },
            Input::Versions(Entity::Videos),
        ],
        shifts: &[-1, 0],
    },
    Job {
        name: "batch_quality_daily",
        target: LakeTable::BatchQualityDaily,
        work: Work::Replace { template: sql!("gold/batch_quality_daily.sql") },
        revision: 1,
        inputs: &[SILVER_OF_THE_DAY],
        shifts: &[0],
    },
    Job {
        name: "session_health_daily",
        target: LakeTable::SessionHealthDaily,
        work: Work::Replace { template: sql!("gold/session_health_daily.sql") },
        revision: 1,
        inputs: &[SILVER_OF_THE_DAY],
        shifts: &[0],
    },
    Job {
        name: "creator_retention_weekly",
        target: LakeTable::CreatorRetentionWeekly,
        work: Work::Replace { template: sql!("gold/creator_retention_weekly.sql") },
        revision: 1,
        inputs: &[Input::Versions(Entity::Videos)],
        shifts: &[0],
    },
    Job {
        name: RECONCILIATION,
        target: LakeTable::BatchReconciliation,
        work: Work::Replace { template: sql!("gold/rt_batch_reconciliation.sql") },
        revision: 1,
        inputs: &[SILVER_OF_THE_DAY, Input::RealTime],
        shifts: &[0],
    },
    Job {
        name: "rt_rule_quantile_baselines",
        target: LakeTable::RuleBaselines,
        work: Work::Baselines { template: sql!("gold/rt_rule_quantile_baselines.sql") },
        revision: 1,
        inputs: &[
            SILVER_OF_THE_DAY,
            // The half hour before the day's first minutes.
            Input::Made { job: SILVER, shift: -1 },
            Input::Made { job: RECONCILIATION, shift: 0 },
            Input::Versions(Entity::Videos),
        ],
        shifts: &[0],
    },
];

/// The job of that name.
pub fn find_job(name: &str) -> Option<&'static Job> {
    JOBS.iter().find(|job| job.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_stands_behind_those_that_it_reads() {
        for (place, job) in JOBS.iter().enumerate() {
            assert_eq!(job.name, job.target.name());
            for input in job.inputs {
                let Input::Made { job: other, .. } = input else { continue };
                let before = JOBS[..place].iter().any(|earlier| earlier.name == *other);
                assert!(before, "{} reads {other}", job.name);
            }
        }
        assert!(
            find_job(SILVER).is_some() && find_job(RECONCILIATION).is_some() && find_job("nope").is_none()
        );
    }
}
