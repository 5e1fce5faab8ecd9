//! What the tables say about themselves: the audit's evidence and equations, and the quarantine's replay.
//!
//! Nothing here knows the command line. Reading is apart from judging: [`checks`] is pure, so that every equation can
//! be tried on evidence that breaks it.

pub(crate) mod checks;
mod dimensions;
mod evidence;
mod ledgers;
mod marks;
mod offsets;
pub(crate) mod quarantine;
pub(crate) mod read;
mod recount;
mod repeats;
pub(crate) mod replay;

pub(crate) mod report;
mod restated;
pub(crate) mod rows;

pub(crate) use ledgers::first_offset;
