//! Decisions: the actions that the rules have called for, and what people make of them.

mod answer;
mod change;
mod list;

pub use answer::ActionAnswer;
pub(crate) use change::{
    __path_post_ack, __path_post_done, __path_post_hold, post_ack, post_done, post_hold,
};
pub use list::FreshnessState;
pub(crate) use list::{__path_get_decisions, get_decisions};
