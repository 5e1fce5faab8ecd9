//! What the actors of a stream of changes say to each other.

use std::sync::Arc;

use actix::Message;
use pulselake_cdc::WriterSchemas;
use pulselake_model::RawBatch;

use crate::messages::Gone;

/// To an upserter: records of one partition, as the source gave them. Answered when there is room for the next ones.
#[derive(Message)]
#[rtype(result = "Result<(), Gone>")]
pub(super) struct ApplyChanges {
    /// The records.
    pub(super) batch: RawBatch,
    /// What the registry says of every schema that they name.
    pub(super) schemas: Arc<WriterSchemas>,
    /// Whether another run has judged them: then the offsets in quarantine decide.
    pub(super) is_settled_by_quarantine: bool,
    /// Records before the batch that retention removed unread.
    pub(super) lost: u64,
}
