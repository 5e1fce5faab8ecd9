//! The queue of actions: what the rules have decided, and what people have done about it since.
//!
//! The table `gold.rt_action_queue` is the truth; an [`ActionQueue`] is one process's way in. What it promises:
//! - Every change is planned on one snapshot of the table and lands on that one alone, never on another: where somebody else
//!   has committed, the table is read again and the change is judged, or decided, anew. So no change is lost, and no two
//!   processes decide the same video twice.
//! - A call that changes something answers after the commit. What [`ActionQueue::list`] and its like show is what was read or
//!   committed last.
//! - A video never has two actions that wait for somebody (PENDING or ACKED).
//! - Overdue actions are EXPIRED by the same commit as the next decisions.
//!
//! Nothing here reads a clock: moments are arguments, in microseconds since the epoch.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod action;
mod admit;
mod error;
#[cfg(test)]
mod example;
mod json;
mod message;
mod queue;
mod rows;
mod view;

pub use action::QueuedAction;
pub use admit::{NotAdmitted, admit};
pub use error::ActionError;
pub use message::{change_in, message_of};
pub use queue::{ActionQueue, Decided, QueueChange, QueueSettings, StateChange};
pub use rows::{actions_of, batch_of};
pub use view::{ActionFilter, QueueView};
