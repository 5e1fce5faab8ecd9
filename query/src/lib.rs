//! SQL on Pulselake's tables, by DataFusion, in a process of its own (docs/adr/0005, docs/adr/0024).
//!
//! What it promises:
//! - A query reads each table at one moment, that of its planning, with deletes applied ([`provider`]).
//! - Nothing can be written or set through SQL ([`read_only`]).
//! - A query ends: by itself, by its time, its memory or its rows ([`QueryLimits`]), or with the client that asked.
//! - An error says what to do, with a code for programs and the place in the statement ([`QueryError`]).
//!
//! The engine knows this crate only as a program that it starts.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod batch;
pub mod catalog;
mod cooperation;
pub mod engine;
pub mod error;
pub mod functions;
pub mod limits;
pub mod output;
pub mod provider;
pub mod read_only;
pub mod server;
pub mod session;
pub mod shell;
mod statement_size;
mod suggestion;
pub mod views;

pub use engine::{EngineSettings, QueryEngine, Summary};
pub use error::{ErrorCode, Position, QueryError};
pub use limits::QueryLimits;
