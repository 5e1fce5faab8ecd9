//! What can be wrong with a generator: its settings, or a position that it can't have.

/// Everything that the generator refuses. None of these goes away by trying again.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GeneratorError {
    /// A setting is outside what the generator can do.
    #[error("generator setting {name} = {value} is not possible: it must be {expected}")]
    Setting {
        /// The setting's name in the configuration.
        name: &'static str,
        /// What was given.
        value: String,
        /// What would be accepted.
        expected: &'static str,
    },
    /// A scenario can't be read, or asks for what is not possible.
    #[error("generator scenario {text:?}: {problem}")]
    Scenario {
        /// What was given.
        text: String,
        /// What is wrong with it, and what would be accepted.
        problem: String,
    },
    /// One partition would have more records in a block than offsets allow.
    #[error(
        "generator partition {partition} would carry {records_per_s:.0} records/s, more than {limit}: \
         lower rate_per_s or raise partitions"
    )]
    RateTooHigh {
        /// The fullest partition.
        partition: i32,
        /// Its expected records per second.
        records_per_s: f64,
        /// The most that a partition can carry.
        limit: u32,
    },
    /// A block came out larger than its offsets: the rate check failed to prevent it.
    #[error(
        "block {block} of generator partition {partition} has {records} records, more than {limit}: lower rate_per_s"
    )]
    BlockOverflow {
        /// The partition.
        partition: i32,
        /// The block's number.
        block: i64,
        /// Its records.
        records: usize,
        /// The most that a block can hold.
        limit: usize,
    },
    /// The partition is not one of the log's.
    #[error("the generator has no partition {partition}: its partitions are 0 to {last}")]
    NoSuchPartition {
        /// What was asked for.
        partition: i32,
        /// The highest partition.
        last: i32,
    },
    /// The offset is negative or beyond the end of time.
    #[error(
        "the generator has no offset {offset}: offsets are 0 to {last}; was this position written by another source?"
    )]
    NoSuchOffset {
        /// What was asked for.
        offset: i64,
        /// The highest offset.
        last: i64,
    },
}
