//! What can go wrong with a store before and around its single files; those have the iceberg crate's error.

/// An error of a warehouse's settings, or of work on many files.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A location that nothing here can read.
    #[error(
        "{location} is in no store that this build knows; use file:///absolute/path or s3://bucket/prefix"
    )]
    UnknownStore {
        /// As it was given.
        location: String,
    },
    /// A location of a known store that can't name a file or directory there.
    #[error("{location} names no place in a store: {reason}")]
    BadLocation {
        /// As it was given.
        location: String,
        /// What is wrong, and what would be right.
        reason: &'static str,
    },
    /// A setting that makes no sense. The value is not shown where it may be secret.
    #[error("store setting {setting}: {reason}")]
    BadSetting {
        /// Its name among Iceberg's properties, or in the environment.
        setting: &'static str,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// Listing failed; what was listed before is right, but not all.
    #[error("cannot list {location}: {}", source.message())]
    List {
        /// Where.
        location: String,
        /// Why.
        #[source]
        source: Box<iceberg::Error>,
    },
    /// A file could not be deleted.
    #[error("cannot delete {location}: {}", source.message())]
    Delete {
        /// Which.
        location: String,
        /// Why.
        #[source]
        source: Box<iceberg::Error>,
    },
}

impl StoreError {
    /// Whether it may go away without a change of the settings.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::List { source, .. } | Self::Delete { source, .. } => source.retryable(),
            _ => false,
        }
    }
}

impl From<StoreError> for iceberg::Error {
    fn from(error: StoreError) -> Self {
        let kind = match error {
            StoreError::UnknownStore { .. } => iceberg::ErrorKind::FeatureUnsupported,
            StoreError::BadLocation { .. } | StoreError::BadSetting { .. } => iceberg::ErrorKind::DataInvalid,
            StoreError::List { .. } | StoreError::Delete { .. } => iceberg::ErrorKind::Unexpected,
        };
        Self::new(kind, error.to_string()).with_retryable(error.is_transient())
    }
}
