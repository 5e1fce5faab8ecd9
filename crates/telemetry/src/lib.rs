//! Metrics and log events, from one place: every metric's name is in [`Metric`], every log line that matters is a
//! function of [`events`], [`decision_events`] or [`board_events`].
//!
//! Handles ([`ActorMetrics`], [`SourceMetrics`], [`WindowMetrics`], [`TableMetrics`], [`ShardMetrics`],
//! [`MaintenanceMetrics`], [`ChangeMetrics`], [`HttpMetrics`]) are made once and used once per batch or commit, never per event; an update is one or a few atomic additions. [`install`] comes
//! first: counters and gauges made before it go nowhere.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod board;
pub mod board_events;
mod changes;
pub mod decision_events;
mod decisions;
pub mod events;
#[cfg(test)]
mod everything;
mod exposition;
mod handles;
mod http;
mod install;
mod logging;
mod maintenance;
mod metric;
mod rate_limit;
pub mod readings;
#[cfg(test)]
mod reference;

pub use board::{BoardMetrics, PulseMetrics};
pub use changes::{
    CacheMetrics, ChangeCounts, ChangeMetrics, RegistryMetrics, set_change_lag, set_change_partitions,
};
pub use decisions::{DecisionMetrics, OutboxMetrics, RoundFigures};
pub use handles::{
    ActorMetrics, CommitFigures, ShardMetrics, SourceMetrics, TableMetrics, WindowCounts, WindowMetrics,
};
pub use handles::{set_assigned_partitions, set_consumer_lag, set_paused_partitions};
pub use http::HttpMetrics;
pub use install::{TelemetryError, TelemetryHandle, install};
pub use logging::{LogFormat, init_logging};
pub use maintenance::{MaintenanceMetrics, TableFiles};
pub use metric::{Kind, Metric, describe_all};
