//! The next metadata file of a table, for catalogs that leave it to the client.

use std::str::FromStr;

use iceberg::spec::{MetadataLog, TableMetadata};
use iceberg::table::Table;
use iceberg::{Error, ErrorKind, MetadataLocation, Result, TableRequirement, TableUpdate};

/// Metadata that is not written yet.
pub(crate) struct Staged {
    pub metadata: TableMetadata,
    pub location: MetadataLocation,
    /// Metadata files that fell out of the log.
    pub expired: Vec<MetadataLog>,
}

/// The base's metadata with the updates applied, and the name of its file.
pub(crate) fn stage(
    base: &Table,
    requirements: &[TableRequirement],
    updates: Vec<TableUpdate>,
) -> Result<Staged> {
    for requirement in requirements {
        requirement.check(Some(base.metadata())).map_err(|error| {
            let text = format!("base changed under the commit: {}", error.message());
            Error::new(ErrorKind::PreconditionFailed, text)
        })?;
    }
    let old = base.metadata_location_result()?.to_string();
    let next = MetadataLocation::from_str(&old)?.with_next_version();
    let mut builder = base.metadata().clone().into_builder(Some(old));
    for update in updates {
        builder = update.apply(builder)?;
    }
    let built = builder.build()?;
    let location = next.with_new_metadata(&built.metadata);
    Ok(Staged { metadata: built.metadata, location, expired: built.expired_metadata_logs })
}
