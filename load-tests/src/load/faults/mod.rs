//! Faults that a load test causes itself: the engine dies or stands still, brokers, catalogs and stores go away or are ill,
//! topics grow, other engines join and leave, maintenance runs beside. Each has to show in the engine's own metrics or log.
//!
//! # Layout
//! `plan` is what a scenario file asks for, `entry` reads one entry of it, `schedule` is when what happens (pure).
//! `context` is what faults act on, `deeds` does and undoes them by way of `proxy` (the network) and `catalog_lock`
//! (SQLite); `run` carries a plan out. `sightings` is what the engine's metrics and log say, `evidence` what of it shows a
//! fault (pure).

mod catalog_lock;
pub(crate) mod context;
mod deeds;
mod entry;
mod evidence;
pub mod plan;
pub mod proxy;
pub(crate) mod run;
pub mod schedule;
mod sightings;

pub use plan::{Fault, FaultKind, FaultPlan};

#[cfg(test)]
mod real_parts;
