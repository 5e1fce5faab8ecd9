//! The serving views: the SQL of `sql/serving/`, one text for DataFusion and Trino, embedded in the program.
//!
//! [`catalogue`] holds the views, [`apply`] creates them in Trino, by the client in [`trino`]; [`command`] is what users call.
//! A text names tables with their schema (`gold.rt_video_stats_1min`) and other views without: those are looked up where the
//! view itself is, so a session's default schema has to be the views' one.

mod apply;
mod catalogue;
pub mod command;
#[cfg(test)]
mod rules_tests;
mod trino;
#[cfg(test)]
mod trino_tests;

pub use catalogue::{ServingView, find_view, serving_views};
