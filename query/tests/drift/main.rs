//! Schema drift on lakes that the tests make: the whole way from bodies in bronze to the registry, silver's columns, and what
//! `pulselake drift` shows. One program: linking it takes longer than running it.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod accounts;
mod days;
mod generated;
mod hostile;
#[cfg(feature = "failpoints")]
mod kills;
#[path = "../batch_days/lake.rs"]
mod lake;
mod shown;
