//! The HTTP API of a running engine: the live board, decisions, health, SQL, live updates, and the pages that show them.
//!
//! What it promises:
//! * Nothing here holds the stream up: the API has threads of its own, what takes long is done once for all clients, and
//!   everything that a client can ask for is bounded (connections, sizes, times, lists, streams of updates).
//! * Errors are always `{"error":{"code","message"}}`, and say what is allowed or to be done.
//! * `/openapi.json` is made from the types of the answers.
//! * Looking is open unless a token is set; changing needs a token that is set for it ([`Tokens`]).
//! * What is not known is null, and what is incomplete says so ([`coverage`]): missing data never looks like a quiet hour.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod auth;
mod board;
mod body;
pub mod coverage;
mod decisions;
mod engine;
mod error;
mod events;
mod guard;
mod health;
mod lake_reader;
mod moment;
mod pages;
mod parameters;
mod parts;
mod peers;
mod pulse;
mod quadrant;
mod quarantine;
mod router;
mod server;
mod settings;
mod shared_answer;
mod shared_slots;
mod sql;
#[cfg(test)]
mod tests;
mod trending;
mod video;
mod watch;

pub use auth::{Token, Tokens};
pub use error::{ApiError, ErrorAnswer, ErrorDetail};
pub use moment::Moment;
pub use parts::{ApiParts, ShownDecisions};
pub use server::{ApiListener, ApiServer, ApiStartError, serve};
pub use settings::{ApiSettings, QuerySettings};
