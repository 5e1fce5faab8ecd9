//! Where the lake is: the flags that every program with settings has, and the way from settings to catalog and warehouse.
//!
//! The engine and the query process share it, so that what opens a lake for one opens the same for the other.

mod flags;
mod lake_settings;

pub use flags::{Flags, SettingsArgs};
pub use lake_settings::lake_settings;
