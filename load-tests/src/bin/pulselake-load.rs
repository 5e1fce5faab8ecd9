//! `pulselake-load`: runs load tests that scenario files describe, and compares their reports; README.md beside this
//! program's source explains it.

use std::process::ExitCode;

fn main() -> ExitCode {
    pulselake_load::load::main()
}
