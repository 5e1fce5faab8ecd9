//! `pulselake-bench`: measures the engine, one thing at a time; README.md beside this program's source explains it.

use std::process::ExitCode;

fn main() -> ExitCode {
    pulselake_load::bench()
}
