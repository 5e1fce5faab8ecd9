//! What can keep maintenance from its work.

use pulselake_commit::{CatalogError, CommitFailure, Conflict};

use super::lease::LeaseRefusal;
use crate::CarryRefusal;

/// Why a table was not maintained, or not to the end. Whatever was deleted before is deleted; nothing that a retained
/// snapshot needs ever is.
#[derive(Debug, thiserror::Error)]
pub enum MaintainError {
    /// The catalog, or the commit.
    #[error(transparent)]
    Catalog(Box<CatalogError>),
    /// Reading or writing the table's files.
    #[error("cannot {action} of {table}: {}", source.message())]
    Files {
        /// What was tried.
        action: &'static str,
        /// `namespace.name`.
        table: String,
        /// The crate's error.
        #[source]
        source: Box<iceberg::Error>,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] pulselake_store::StoreError),
    /// Files were written too long ago to be committed.
    #[error(transparent)]
    TooOld(#[from] super::young::TooOld),
    /// Planning or reading the table.
    #[error(transparent)]
    Read(#[from] pulselake_read::ReadError),
    /// The table's ledger is not sound.
    #[error(transparent)]
    Ledger(#[from] CarryRefusal),
    /// Another maintainer has the table, or took it over.
    #[error(transparent)]
    Lease(#[from] LeaseRefusal),
    /// Others changed the table so often that no plan could land.
    #[error("gave up on {table} after {rounds} plans: {conflict}")]
    Conflicts {
        /// `namespace.name`.
        table: String,
        /// Plans made.
        rounds: u32,
        /// The last conflict.
        conflict: Conflict,
    },
    /// Nobody knows whether a change is in the table.
    #[error("the outcome of a change of {table} is unknown ({source}): nothing was deleted; run it again")]
    OutcomeUnknown {
        /// `namespace.name`.
        table: String,
        /// What hid it.
        #[source]
        source: Box<CatalogError>,
    },
    /// The listing lacks files that the table needs.
    #[error(
        "the listing of {location} lacks {count} files that the table refers to, such as {example}: nothing was deleted; the files are lost (restore them), or the store lists them under other names"
    )]
    ListingLacks {
        /// The table's location.
        location: String,
        /// How many.
        count: usize,
        /// One of them.
        example: String,
    },
    /// The listing lacks the file that had just been written to learn the store's time.
    #[error(
        "{location} was written but is not in the listing: nothing was deleted; check the warehouse setting"
    )]
    ProbeNotListed {
        /// The probe.
        location: String,
    },
    /// Branches and tags can't be read out of the metadata.
    #[error("cannot read the branches and tags of {table}: nothing was changed")]
    NoReferences {
        /// `namespace.name`.
        table: String,
    },
    /// Decoding or encoding rows.
    #[error("cannot {action} {location}: {reason}")]
    Rows {
        /// What was tried.
        action: &'static str,
        /// Which file.
        location: String,
        /// Why.
        reason: String,
    },
    /// A failpoint of a test.
    #[error("injected failure at {point}")]
    Injected {
        /// Its name.
        point: &'static str,
    },
}

impl From<CatalogError> for MaintainError {
    fn from(error: CatalogError) -> Self {
        Self::Catalog(Box::new(error))
    }
}

impl MaintainError {
    /// Says what was tried on which table.
    pub(crate) fn files(
        action: &'static str,
        table: &iceberg::TableIdent,
    ) -> impl FnOnce(iceberg::Error) -> Self {
        let name = table.to_string();
        move |source| Self::Files { action, table: name, source: Box::new(source) }
    }
}

/// A maintenance commit's guard refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] CarryRefusal),
    /// The lease.
    #[error(transparent)]
    Lease(#[from] LeaseRefusal),
}

/// A failed commit as an error; `None` where it is a conflict, and the change can be planned anew.
pub(crate) fn unless_conflict(
    table: &iceberg::TableIdent,
    failure: CommitFailure<Refusal>,
) -> Result<Conflict, MaintainError> {
    match failure {
        CommitFailure::Conflict { conflict, .. } => Ok(conflict),
        CommitFailure::Refused { refusal: Refusal::Ledger(refusal), .. } => Err(refusal.into()),
        CommitFailure::Refused { refusal: Refusal::Lease(refusal), .. } => Err(refusal.into()),
        CommitFailure::Failed { source, .. } => Err(source.into()),
        CommitFailure::OutcomeUnknown { source } => {
            Err(MaintainError::OutcomeUnknown { table: table.to_string(), source: Box::new(source) })
        }
    }
}
