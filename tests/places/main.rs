//! The whole program on other catalogs and stores than the ones in a data directory: PostgreSQL, REST, S3. The same
//! promises as at home: exactly the right tables after kill -9 and after each service's outage, every command works
//! there, other programs read the tables through the same catalog, and no secret is in any output.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;

mod everywhere;
mod outages;
mod place;
mod refusals;
mod services;
