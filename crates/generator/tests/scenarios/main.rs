//! Each scenario does what the domain's table says, in its interval, and nothing else.
#![allow(clippy::unwrap_used)]

mod apart;
mod clients;
mod delivery;
mod focus;
mod support;
