//! Where the files of a lake are: local directories, and S3 and what is compatible with it.
//!
//! [`Warehouse`] is the entrance. What it promises in each store:
//! - a file is whole or not there, to every reader and after every crash;
//! - locations are taken and given as Iceberg's metadata spells them, whatever characters are in them;
//! - an error says what was tried on which file, what to do, and by its `retryable` flag whether waiting may help;
//! - secrets are in no message, no `Debug` and no serialised form.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod error;
mod files;
mod listing;
pub mod local;
mod points;
mod s3;
mod settings;
mod warehouse;

pub use error::StoreError;
pub use files::{Deleted, Files};
pub use listing::StoredFile;
pub use local::{LocalStorage, LocalStorageFactory, advice, local_path, may_pass};
pub use pulselake_commit::catalog::Secret;
pub use s3::{S3Storage, S3StorageFactory};
pub use settings::{S3Credentials, S3Limits, S3Settings, StoreSettings};
pub use warehouse::Warehouse;
