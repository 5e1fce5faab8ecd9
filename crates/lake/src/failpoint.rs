//! Named points where a test can stop, kill or deceive the commit path. Without the feature `failpoints` they are
//! nothing at all.
//!
//! Names: `lake::before_parquet_close`, `lake::after_parquet_close`, `lake::before_metadata_write`,
//! `lake::after_metadata_write`, `lake::before_catalog_swap`, `lake::after_catalog_swap`.
//!
//! Actions beyond those of the `fail` crate: `return(abort)` ends the process at once, as a kill would (no destructor,
//! no flush); `return(unknown)` makes the caller believe that the outcome is unknown (after `lake::after_catalog_swap`
//! the swap really happened, before it did not); any other `return` is an error of known outcome, and nothing after the
//! swap, which can't be undone. A count chooses the
//! moment: `FAILPOINTS="lake::after_catalog_swap=5*off->return(abort)"`.

/// What a failpoint asks its place to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "failpoints"), allow(dead_code))]
pub(crate) enum Injected {
    /// Fail; the outcome is known.
    Error,
    /// Fail; pretend not to know whether it happened.
    Unknown,
}

/// Passes the point `name`; `Some` only where a test asks for a failure.
#[cfg(feature = "failpoints")]
pub(crate) fn reach(name: &str) -> Option<Injected> {
    fail::fail_point!(name, |argument: Option<String>| match argument.as_deref() {
        Some("abort") => std::process::abort(),
        Some("unknown") => Some(Injected::Unknown),
        _ => Some(Injected::Error),
    });
    None
}

/// Passes the point `name`: nothing in this build.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub(crate) fn reach(_name: &str) -> Option<Injected> {
    None
}

/// Arms the points named by the environment variable `FAILPOINTS` for the rest of the process; a binary calls it once.
///
/// Returns false where the variable asks for points that this build does not have.
pub fn arm_from_environment() -> bool {
    let wanted = std::env::var_os("FAILPOINTS").is_some_and(|points| !points.is_empty());
    #[cfg(feature = "failpoints")]
    if wanted {
        // Dropping the scenario would disarm the points again.
        std::mem::forget(fail::FailScenario::setup());
    }
    !wanted || cfg!(feature = "failpoints")
}
