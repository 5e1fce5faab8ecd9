//! Scores beside the contract's velocity, as pure functions of counts.

mod shrunken;
mod surprise;

pub use shrunken::{PRIOR_IMPRESSIONS, shrunken_velocity, weighted_reactions};
pub use surprise::{BASE_MINUTES, HALF_LIFE_MINUTES, RECENT_MINUTES, surprise_z};
