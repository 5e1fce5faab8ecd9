//! The flags that every command with settings has; `pulselake-query` has the same.

pub(crate) use pulselake_place::{Flags, SettingsArgs};
