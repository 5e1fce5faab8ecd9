//! Why a batch can't be applied. The state is untouched after either error.

use thiserror::Error;

/// A batch that does not fit the state, or does not keep the contract of `DecodedBatch`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ApplyError {
    /// The batch does not begin where the last one ended.
    #[error(
        "batch of partition {partition} begins at offset {found} but the windows stand at {expected}: \
         seek the reader to {expected} or rebuild the windows from the committed position"
    )]
    OutOfOrder {
        /// The batch's partition.
        partition: i32,
        /// Where the next batch must begin.
        expected: i64,
        /// Where this one begins.
        found: i64,
    },
    /// The batch contradicts itself; a defect of whoever built it.
    #[error("batch of partition {partition} at offset {first_offset} is malformed: {problem}")]
    Malformed {
        /// The batch's partition.
        partition: i32,
        /// Where it begins.
        first_offset: i64,
        /// What is wrong with it.
        problem: String,
    },
}
