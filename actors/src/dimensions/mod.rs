//! Streams of changes: what an operational database says of its videos and users becomes dimensions and their history.
//!
//! ```text
//! CdcConsumer ──► DimensionUpserter ──► Committer (quarantine), then Committer (history), then Committer (dimension)
//! ```
//!
//! Before records in Avro reach the upserter, its consumer has the schemas that they name, from the registry or from memory.
//!
//! One stream an entity, one shard a stream: upserts of a key must not meet each other in two writers. The history is
//! what has been consumed; the dimension follows from it, also after a crash between the two commits.

mod cache;
mod catch_up;
mod consumer;
mod flush;
mod lookup;
mod messages;
mod recovery;
mod run;
mod schemas;
mod services;
mod stream;
mod upserter;

pub use cache::{CachedVideo, DimensionCache};
pub use schemas::SchemaBook;
pub use stream::{DimensionSettings, DimensionStream};
