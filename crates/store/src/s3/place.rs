//! An object's place: its location taken apart, and the settings by which it is reached.

use std::sync::Arc;

use iceberg::Error;
use object_store::aws::AmazonS3;
use object_store::path::Path as Key;

use super::explain::Reason;
use crate::{S3Settings, StoreError};

/// Schemes of S3: Hadoop's names for it appear in tables that others have written.
const SCHEMES: [&str; 3] = ["s3://", "s3a://", "s3n://"];

/// Whether a location is of S3.
pub(crate) fn is_s3(location: &str) -> bool {
    SCHEMES.iter().any(|scheme| location.starts_with(scheme))
}

/// The bucket, and the key or prefix (empty for the whole bucket) of a location of S3. Nothing in it is percent-encoded.
pub(crate) fn split(location: &str) -> Result<(&str, &str), StoreError> {
    let bad = |reason| StoreError::BadLocation { location: location.to_string(), reason };
    let after = SCHEMES.iter().find_map(|scheme| location.strip_prefix(scheme));
    let after = after.ok_or_else(|| StoreError::UnknownStore { location: location.to_string() })?;
    let (bucket, key) = after.split_once('/').unwrap_or((after, ""));
    let is_bucket_letter = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
    if bucket.len() < 3 || bucket.len() > 63 || !bucket.chars().all(is_bucket_letter) {
        return Err(bad("a bucket's name has 3 to 63 letters, digits, dots and hyphens"));
    }
    Ok((bucket, key))
}

/// Refuses a location that no bucket or prefix can have.
pub(crate) fn require_place(location: &str) -> Result<(), StoreError> {
    Place::new(location, Arc::default()).map(drop)
}

/// One object (or a prefix).
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// As the caller spells it.
    pub(super) location: String,
    pub(super) bucket: String,
    pub(super) key: Key,
    /// Complete: the environment has been asked.
    pub(super) settings: Arc<S3Settings>,
}

impl Place {
    /// The place of a file or of what lies below a prefix, which may end with a slash.
    pub(super) fn new(location: &str, settings: Arc<S3Settings>) -> Result<Self, StoreError> {
        let (bucket, text) = split(location)?;
        let bad = |reason| StoreError::BadLocation { location: location.to_string(), reason };
        let whole = text.strip_suffix('/').unwrap_or(text);
        let unusable =
            "a part between slashes is empty, '.' or '..', or a control character is in it; rename it";
        let key = Key::parse(whole).map_err(|_| bad(unusable))?;
        // Parsing drops slashes at the ends, and would silently name another object.
        if key.as_ref() != whole {
            return Err(bad(unusable));
        }
        Ok(Self { location: location.to_string(), bucket: bucket.to_string(), key, settings })
    }

    /// The place of one file.
    pub(super) fn of_file(location: &str, settings: Arc<S3Settings>) -> Result<Self, StoreError> {
        let place = Self::new(location, settings)?;
        if place.key.as_ref().is_empty() || location.ends_with('/') {
            let reason = "a file's key is not empty and does not end with a slash";
            return Err(StoreError::BadLocation { location: location.to_string(), reason });
        }
        Ok(place)
    }

    pub(super) fn client(&self) -> Result<AmazonS3, StoreError> {
        super::client::client(&self.bucket, &self.settings)
    }

    /// The caller's error about this place.
    pub(super) fn failed(&self, action: &str, error: &object_store::Error) -> Error {
        self.failed_for(Reason::of(error), action)
    }

    pub(super) fn failed_for(&self, reason: Reason, action: &str) -> Error {
        reason.into_error(action, &self.location, &self.bucket, &self.settings)
    }

    /// The full location of a key of this bucket, spelled with the same scheme.
    pub(super) fn location_of(&self, key: &Key) -> String {
        let (scheme, _) = self.location.split_once("://").unwrap_or(("s3", ""));
        format!("{scheme}://{}/{key}", self.bucket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(location: &str) -> Result<String, StoreError> {
        Place::of_file(location, Arc::default()).map(|place| place.key.to_string())
    }

    #[test]
    fn keys_are_taken_as_they_are_written() {
        for name in ["a b", "100%", "a%20b", "day=2026-11-24", "ü/日本", "a+b&c=d?e#f", "~[x]{y}|^`\"<>\\*"]
        {
            assert_eq!(key(&format!("s3://lake/{name}")).unwrap(), name);
        }
        assert_eq!(key("s3a://lake/a/b").unwrap(), "a/b");
    }

    #[test]
    fn what_would_name_another_object_is_refused() {
        for location in [
            "s3://lake",
            "s3://lake/",
            "s3://lake//a",
            "s3://lake/a//b",
            "s3://lake/a/",
            "s3://lake/../a",
            "s3://lake/a\nb",
            "s3:///a",
            "s3://user:word@host/a",
            "s3://l/a",
            "gs://lake/a",
            "s3:/lake/a",
        ] {
            assert!(key(location).is_err(), "{location}");
        }
    }

    #[test]
    fn listed_keys_are_spelled_like_the_prefix() {
        let place = Place::new("s3a://lake/t", Arc::default()).unwrap();
        assert_eq!(place.location_of(&Key::parse("t/a b%").unwrap()), "s3a://lake/t/a b%");
    }
}
