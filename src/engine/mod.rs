//! Puts the engine together from the settings and runs it as a service.

mod assemble;
mod changes;
mod decisions;
mod http;
mod maintenance_settings;
mod query_environment;
mod service;
mod signals;
mod source;
mod streams;
mod summary;

pub(crate) use assemble::{decode_settings, open_lake};
pub(crate) use changes::{topic_of, wanted_tables};
pub(crate) use maintenance_settings::{
    lease_settings, maintainer_name, maintenance_limits, orphan_settings, retention_rules, round_settings,
};
pub(crate) use pulselake_place::lake_settings;
pub(crate) use service::{RunMode, Show, serve};
pub(crate) use signals::stop_requested;
pub(crate) use source::generator_settings;
