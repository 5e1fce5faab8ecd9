//! Commands of `pulselake-query`, a program of its own: everything behind the command's name is passed on to it.

use std::ffi::OsString;

use clap::Args;

/// What is passed on, help and all.
#[derive(Debug, Args)]
#[command(disable_help_flag = true, disable_version_flag = true)]
pub(crate) struct PassedOn {
    /// Whatever pulselake-query takes; --help lists it
    #[arg(value_name = "ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<OsString>,
}
