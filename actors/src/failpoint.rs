//! Named points in the actors where a test can panic, hang or end the process. Without the feature `failpoints`
//! they are nothing at all.
//!
//! Names: `consumer::polled`, `aggregator::batch`, `aggregator::flush`, `writer::batch`,
//! `writer::between_quarantine_and_bronze`, `gold::before_write`, `committer::before`, `committer::after`.
//! Actions: those of the `fail` crate (`panic`, `sleep(ms)`, …) and `return(abort)`, which ends the process at once.

/// Passes the point `name`.
#[cfg(feature = "failpoints")]
pub(crate) fn reach(name: &'static str) {
    fail::fail_point!(name, |action| {
        if action.as_deref() == Some("abort") {
            std::process::abort();
        }
    });
}

/// Passes the point `name`.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub(crate) fn reach(_name: &'static str) {}
