//! The load tests, one file each.

pub(crate) mod api;
pub(crate) mod changes;
pub(crate) mod drain;
pub(crate) mod live;
pub(crate) mod recovery;
pub(crate) mod scaling;
