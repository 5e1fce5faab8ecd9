//! `pulselake-query batch` on lakes that the tests make: what a day of silver is, when it is made again, and what happens
//! when a run is killed. One program: linking it takes longer than running it.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod duplicates;
#[cfg(feature = "failpoints")]
mod kills;
mod lake;
mod memory;
mod payload;
mod reruns;
mod sessions;
mod versions;
