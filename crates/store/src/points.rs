//! The failpoints of the stores, at the same steps in each of them.

use iceberg::{Error, ErrorKind, Result};

use pulselake_commit::failpoint::Injected;

/// The failpoint of handing over a part of a file.
pub(crate) const WRITE: &str = "lake::store_write";

/// The failpoint of the step that makes a whole file visible, by the file's name (or the path that ends with it).
pub(crate) fn publishing_point(name: &str) -> &'static str {
    if name.ends_with(".metadata.json") {
        "lake::store_metadata"
    } else if name.ends_with(".parquet") {
        "lake::store_data"
    } else {
        "lake::store_manifest"
    }
}

/// The answer to a request that a test lets fail.
pub(crate) fn injected_failure(point: &'static str) -> impl Fn(Injected) -> Result<()> {
    move |injected| {
        let how = match injected {
            Injected::Error => "refused",
            Injected::Unknown => "the answer was lost",
        };
        let text = format!("injected failure at {point}: {how}");
        Err(Error::new(ErrorKind::Unexpected, text).with_retryable(true))
    }
}
